"""The shape of app/, as docs and reviews rely on it: who imports whom, how long anything gets, what it is called.

Each test collects every fault of all modules, and prints them one a line.
"""

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
MODULES = sorted((ROOT / "app").rglob("*.py"))

# Each layer (a folder or module of app/) and all that it may import of Cloze. A name with a dot is
# one module, not its whole layer.
LEAVES = {"types", "errors", "validation", "methods"}
ALLOWED: dict[str, set[str]] = {
    "types": set(),
    "errors": set(),
    "validation": {"errors"},
    "system": {"errors"},
    "settings": {"system"},
    "methods": {"types", "errors", "validation"},
    "web": set(),
    "telemetry": {"errors"},
    "devices": {"errors", "system"},
    "media": LEAVES | {"system"},
    "datasets": LEAVES | {"system", "media"},
    "modalities": LEAVES | {"system", "media", "datasets"},
    "storage": {"errors"},
    "store": LEAVES | {"system", "storage"},
    "jobs": LEAVES | {"system", "storage", "telemetry"},
    "access": LEAVES | {"settings", "system", "jobs.connection"},
    "publishing": LEAVES | {"system", "modalities", "store", "jobs"},
    "training": LEAVES | {"system", "modalities", "media", "datasets", "devices"},
    "serving": LEAVES | {"system", "modalities", "store", "devices", "telemetry"},
    "evaluation": LEAVES | {"system", "datasets", "modalities", "store", "serving", "training", "devices"},
    "submission": LEAVES | {"publishing", "settings", "system", "media", "datasets", "modalities", "store", "jobs"},
    "inference": LEAVES | {"settings", "system", "media", "modalities", "store", "serving", "devices", "telemetry"},
    "api": LEAVES
    | {"submission", "publishing", "settings", "system", "media", "datasets", "modalities", "store", "jobs"}
    | {"serving", "inference", "web", "access", "telemetry"},
    "http": LEAVES | {"api"},
    "compat": LEAVES | {"modalities", "store", "inference", "api"},
    "worker": LEAVES
    | {"publishing", "settings", "system", "media", "datasets", "modalities", "store", "jobs", "training", "devices"}
    | {"evaluation", "telemetry"},
    "main": LEAVES
    | {"settings", "system", "modalities", "store", "jobs", "serving", "inference", "api", "compat"}
    | {"access", "telemetry"},
    "commands": LEAVES
    | {"settings", "system", "modalities", "store", "jobs", "publishing", "serving", "inference", "api", "http"}
    | {"main", "access"},
    "cli": LEAVES | {"settings", "system", "commands", "worker"},
}

# Layers within a layer: a folder or module, and all that it may import of its layer.
INNER: dict[str, set[str]] = {
    "training.hooks": set(),
    "training.data": {"training.hooks"},
    "training.loop": {"training.hooks", "training.data"},
    "training.cluster.messages": set(),
    "training.cluster.client": {"training.hooks", "training.cluster.messages"},
    "training.cluster.server": {"training.hooks", "training.cluster.messages"},
    "training.cluster.waiting": {"training.hooks"},
}

# Libraries that only some layers may know.
CONFINED: dict[str, set[str]] = {
    "redis": {"jobs", "inference.redis_cache", "access"},
    "obstore": {"storage"},
    "rq": {"jobs"},
    "fastapi": {"main", "api", "compat"},
    "starlette": {"main", "api", "http", "compat"},
    "uvicorn": {"http", "commands"},
    "httptools": {"http"},
    "prometheus_client": {"api"},
    "opentelemetry": {"telemetry.otlp"},
    "typer": {"cli", "commands"},
    "rich": {"commands"},
    "httpx": {"commands", "jobs.webhook_sender"},
    "pydantic_settings": {"settings"},
    "torch": {
        *("modalities", "serving", "training", "worker.train_job", "devices"),
        *("evaluation.random_weights", "evaluation.fine_tuning", "evaluation.tuned_runs"),
    },
    "transformers": {"modalities", "training", "serving.packing", "evaluation.random_weights"},
    "sklearn": {"evaluation"},
    "matplotlib": {"evaluation"},
    "scipy": {"evaluation"},
    "tokenizers": {"modalities", "training"},
    "onnx_ir": {"modalities"},
    "onnxruntime": {"modalities"},
    "ray": {"training.cluster.ray_run"},
}

# Beside being in a layer that may: what has to start fast, or to run without a model.
WITHOUT_TORCH = {
    "serving.batcher",
    "serving.observer",
    "modalities.text.items",
    "modalities.text.candidates.options",
    "modalities.text.candidates.results",
    "modalities.text.rank_correlation",
    "modalities.embedding",
    "modalities.reconstruction",
    "modalities.patch.masking",
    "modalities.patch.decoded_media",
    "modalities.patch.resize_crop",
    "modalities.patch.grid",
    "modalities.patch.geometry",
    "modalities.patch.augment",
    "modalities.patch.decoding",
    "modalities.patch.estimator",
    "modalities.estimator",
    "modalities.media_amount",
    "modalities.examples",
    "modalities.audio.crops",
    "modalities.audio.decoding",
    "modalities.audio.frames",
    "modalities.audio.geometry",
    "modalities.audio.renderings",
    "modalities.audio.waveform_decoding",
    "modalities.audio.waveform_estimator",
    "modalities.audio.waveform_processor",
    "modalities.image.decoding",
    "modalities.image.encoder_processor",
    "modalities.image.encoder_types",
    "modalities.image.geometry",
    "modalities.image.renderings",
    "modalities.video.decoding",
    "modalities.video.geometry",
    "modalities.video.renderings",
    "modalities.audio.processor",
    "modalities.image.processor",
    "modalities.video.processor",
    "training.data.chunking",
    "training.data.encoding",
    "training.data.encoding_process",
    "training.hooks",
    "training.data.token_cache",
}

COMPOSITION_ROOTS = {"main", "cli", "commands", "worker"}  # these construct Settings

MAX_MODULE_LINES, MAX_FUNCTION_LINES = 300, 50


@cache
def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@cache
def nodes(path: Path) -> list[ast.AST]:
    """Every node of a module's syntax tree."""
    return list(ast.walk(ast.parse(text_of(path))))


def place(path: Path, line: int = 1) -> str:
    return f"{path.relative_to(ROOT)}:{line}"


def check(faults: Iterable[str]) -> None:
    found = list(faults)
    assert not found, "\n" + "\n".join(found)


def dotted(path: Path) -> str:
    """app/serving/batcher.py → serving.batcher; app/serving/__init__.py → serving."""
    parts = path.relative_to(ROOT / "app").with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def layer(module: str) -> str:
    return module.partition(".")[0]


def within(module: str, places: set[str]) -> bool:
    """Whether one of the places is the module itself or a folder around it."""
    return any(f"{module}.".startswith(f"{place}.") for place in places)


@cache
def imports(path: Path) -> list[tuple[str, int]]:
    """The full name of every imported module, wherever in the file, and its line."""
    return list(find_imports(path))


def find_imports(path: Path) -> Iterator[tuple[str, int]]:
    for node in nodes(path):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{place(path, node.lineno)}: relative import"
            assert node.module is not None
            if node.module in ("app", "app.api"):  # `from app import errors` imports app.errors
                for alias in node.names:
                    yield f"{node.module}.{alias.name}", node.lineno
            else:
                yield node.module, node.lineno


def test_every_layer_is_in_the_table() -> None:
    assert {layer(dotted(path)) for path in MODULES} - {""} == set(ALLOWED)


def test_the_table_has_no_cycle() -> None:
    done: set[str] = set()
    while len(done) < len(ALLOWED):
        ready = {name for name, below in ALLOWED.items() if name not in done and set(map(layer, below)) <= done}
        assert ready, f"a cycle among {set(ALLOWED) - done}"
        done |= ready


def test_dependencies_point_one_way() -> None:
    def faults() -> Iterator[str]:
        for path in MODULES:
            own = layer(dotted(path))
            for name, line in imports(path):
                package, _, rest = name.partition(".")
                of_app = package == "app" and rest not in ("", "__version__")
                if of_app and not within(rest, ALLOWED.get(own, set()) | {own}):
                    yield f"{place(path, line)}: {own} imports {name}"

    check(faults())


def test_dependencies_within_a_layer_point_one_way() -> None:
    def faults() -> Iterator[str]:
        for path in MODULES:
            own = next((inner for inner in INNER if within(dotted(path), {inner})), None)
            if own is None:
                continue
            for name, line in imports(path):
                rest = name.removeprefix("app.")
                if within(rest, {layer(own)}) and not within(rest, INNER[own] | {own}):
                    yield f"{place(path, line)}: {own} imports {name}"

    check(faults())


def test_modalities_are_named_in_their_own_modules_only() -> None:
    def faults() -> Iterator[str]:
        for path in MODULES:
            if layer(dotted(path)) not in ("modalities", "methods", "media"):
                for node in nodes(path):
                    if isinstance(node, ast.Attribute) and ast.unparse(node.value).endswith("ModalityName"):
                        yield place(path, node.lineno)

    check(faults())


def test_libraries_stay_where_they_belong() -> None:
    def faults() -> Iterator[str]:
        for path in MODULES:
            module = dotted(path)
            for name, line in imports(path):
                library = name.partition(".")[0]
                forbidden = module in WITHOUT_TORCH and library in ("torch", "transformers")
                if forbidden or not within(module, CONFINED.get(library, {module})):
                    yield f"{place(path, line)}: {module} imports {name}"

    check(faults())


def test_only_composition_roots_construct_settings() -> None:
    check(
        f"{place(path, node.lineno)} constructs Settings"
        for path in MODULES
        if layer(dotted(path)) not in COMPOSITION_ROOTS
        for node in nodes(path)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Settings"
    )


def test_modules_and_functions_are_short() -> None:
    def faults() -> Iterator[str]:
        for path in MODULES:
            lines = len(text_of(path).splitlines())
            if lines > MAX_MODULE_LINES:
                yield f"{place(path)} has {lines} lines"
            for node in nodes(path):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    length = (node.end_lineno or node.lineno) - node.lineno + 1
                    if length > MAX_FUNCTION_LINES:
                        yield f"{place(path, node.lineno)}: {node.name} has {length} lines"

    check(faults())


def test_class_names_are_unique() -> None:
    # A name in a traceback should tell where it comes from.
    places: dict[str, list[str]] = defaultdict(list)
    for path in MODULES:
        for node in nodes(path):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(place(path, node.lineno))
    shared = {name: found for name, found in places.items() if len(found) > 1}
    check(f"{name}: {', '.join(found)}" for name, found in shared.items())


def test_docstrings_begin_with_what_a_thing_is_or_does() -> None:
    def faults() -> Iterator[str]:
        for path in MODULES:
            for node in nodes(path):
                if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                    first = (ast.get_docstring(node) or " ").split()[:1]
                    if first and first[0] in ("Of", "What", "That", "Who", "Whom"):
                        yield place(path, getattr(node, "lineno", 1))

    check(faults())
