"""The shape of app/, as docs and reviews rely on it: who imports whom, and how long anything gets."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = sorted((ROOT / "app").rglob("*.py"))

# Each layer (a folder or module of app/) and all that it may import of Cloze. A name with a dot is
# one module, not its whole layer.
LEAVES = {"types", "errors", "methods"}
ALLOWED: dict[str, set[str]] = {
    "types": set(),
    "errors": set(),
    "system": {"errors"},
    "settings": {"system"},
    "methods": {"types", "errors"},
    "web": set(),
    "devices": {"errors", "system"},
    "media": LEAVES | {"system"},
    "datasets": LEAVES | {"system", "media"},
    "modalities": LEAVES | {"media"},
    "store": LEAVES | {"system"},
    "jobs": LEAVES | {"system"},
    "publishing": LEAVES | {"store", "jobs"},
    "training": LEAVES | {"system", "modalities", "media", "datasets", "devices"},
    "serving": LEAVES | {"system", "modalities", "store", "devices"},
    "inference": LEAVES | {"settings", "system", "media", "modalities", "store", "serving", "devices"},
    "api": LEAVES
    | {"publishing", "settings", "system", "media", "datasets", "modalities", "store", "jobs", "serving", "web"}
    | {"inference"},
    "http": LEAVES | {"api"},
    "compat": LEAVES | {"modalities", "inference", "api"},
    "worker": LEAVES
    | {"publishing", "settings", "system", "media", "modalities", "store", "jobs", "training", "devices"},
    "main": LEAVES | {"settings", "system", "modalities", "store", "jobs", "serving", "inference", "api", "compat"},
    "commands": LEAVES
    | {"settings", "system", "modalities", "store", "jobs", "serving", "inference", "api", "http", "main"},
    "cli": LEAVES | {"settings", "system", "commands", "worker"},
}

# Libraries that only some layers may know.
CONFINED: dict[str, set[str]] = {
    "redis": {"jobs"},
    "rq": {"jobs"},
    "fastapi": {"main", "api", "compat"},
    "starlette": {"main", "api", "http", "compat"},
    "uvicorn": {"http", "commands"},
    "httptools": {"http"},
    "prometheus_client": {"api"},
    "typer": {"cli", "commands"},
    "rich": {"commands"},
    "httpx": {"commands", "jobs.webhook_sender"},
    "pydantic_settings": {"settings"},
    "torch": {"modalities", "serving", "training", "worker.train_job", "devices"},
    "transformers": {"modalities", "training", "serving.packing"},
    "tokenizers": {"modalities", "training"},
}

# Beside being in a layer that may: what has to start fast, or to run without a model.
WITHOUT_TORCH = {
    "serving.batcher",
    "serving.observer",
    "modalities.text.items",
    "modalities.embedding",
    "modalities.reconstruction",
    "modalities.patch.masking",
    "modalities.patch.decoded_media",
    "modalities.patch.resize_crop",
    "modalities.patch.grid",
    "modalities.audio.processor",
    "modalities.image.processor",
    "modalities.video.processor",
    "training.chunking",
    "training.encoding",
    "training.encoding_process",
    "training.hooks",
    "training.token_cache",
}

COMPOSITION_ROOTS = {"main", "cli", "commands", "worker"}  # these construct Settings

MAX_MODULE_LINES, MAX_FUNCTION_LINES = 300, 60


def dotted(path: Path) -> str:
    """app/serving/batcher.py → serving.batcher; app/serving/__init__.py → serving."""
    parts = path.relative_to(ROOT / "app").with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def layer(module: str) -> str:
    return module.partition(".")[0]


def within(module: str, places: set[str]) -> bool:
    """Whether one of the places is the module itself or a folder around it."""
    return any(f"{module}.".startswith(f"{place}.") for place in places)


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """The full name of every imported module, wherever in the file, and its line."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
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


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_dependencies_point_one_way(path: Path) -> None:
    own = layer(dotted(path))
    for name, line in imports(path):
        package, _, rest = name.partition(".")
        if package == "app" and rest and rest != "__version__":
            assert within(rest, ALLOWED.get(own, set()) | {own}), f"line {line}: {own} imports {name}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_libraries_stay_where_they_belong(path: Path) -> None:
    module = dotted(path)
    for name, line in imports(path):
        places = CONFINED.get(name.partition(".")[0])
        assert places is None or within(module, places), f"line {line}: {module} imports {name}"
    if module in WITHOUT_TORCH:
        assert not {"torch", "transformers"} & {name.partition(".")[0] for name, _ in imports(path)}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_composition_roots_construct_settings(path: Path) -> None:
    if layer(dotted(path)) in COMPOSITION_ROOTS:
        return
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id != "Settings", f"line {node.lineno} constructs Settings"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_and_functions_are_short(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MAX_MODULE_LINES
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            assert length <= MAX_FUNCTION_LINES, f"{node.name} has {length} lines"


def test_docstrings_begin_with_what_a_thing_is_or_does() -> None:
    found = []
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                first = (ast.get_docstring(node) or " ").split()[:1]
                if first and first[0] in ("Of", "What", "That", "Who", "Whom"):
                    found.append(f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 1)}")
    assert not found
