"""Tests use public names of app/: what they cannot reach otherwise lacks a knob."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
TESTS = sorted((ROOT / "tests").rglob("*.py"))

# Names with an underscore that belong to others and are meant to be used.
OF_OTHERS = {"_exit", "_replace", "_attn_implementation", "_is_mkldnn_bf16_supported", "_forward_hooks"}
TO_FIX: dict[str, set[str]] = {  # shrinks; a name that is gone has to leave
    "tests/api/test_bounds.py": {
        "_FeatureBody",
        "_FillMaskBody",
        "_SimilarityBody",
    },
    "tests/api/test_null_and_types.py": {
        "_EmbedParameters",
        "_FeatureBody",
        "_FillMaskBody",
        "_FillMaskParameters",
        "_SimilarityBody",
    },
    "tests/api/test_system.py": {
        "_load",
    },
    "tests/http/test_server.py": {
        "_UNLIMITED",
    },
    "tests/jobs/test_connection.py": {
        "_short_dir",
    },
    "tests/modalities/audio/test_sound.py": {
        "_rounds",
    },
    "tests/modalities/patch/test_contrast.py": {
        "_embeddings",
    },
    "tests/modalities/text/test_encoder.py": {
        "_ROWWISE",
    },
    "tests/modalities/text/test_encoding.py": {
        "_encode",
        "_encoder",
    },
    "tests/modalities/text/test_fill_mask.py": {
        "_encoder",
        "_vocabulary",
    },
    "tests/serving/test_intra_op_threads.py": {
        "_CALM",
        "_WORTH",
    },
    "tests/serving/test_pool_unload.py": {
        "_freeing",
        "_load",
    },
    "tests/serving/test_replicas.py": {
        "_encoder",
        "_pieces",
    },
    "tests/serving/test_steps.py": {
        "_batcher",
    },
    "tests/system/test_process_pool.py": {
        "_MAIN",
    },
    "tests/test_cli.py": {
        "_AT_ONCE",
    },
    "tests/worker/test_worker.py": {
        "_beat",
        "_beat_until_the_end",
        "_ended",
    },
}


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__") and name != "_" and name not in OF_OTHERS


def private_names(path: Path) -> Iterator[str]:
    """The private names that a file takes from app: imported, as attributes of anything but self, or patched."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "app":
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value) not in ("self", "cls"):
            yield node.attr
        elif isinstance(node, ast.Call):  # setattr(module, "_name", …), setattr("app.module._name", …)
            for argument in node.args:
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                    start, _, last = argument.value.rpartition(".")
                    if start.startswith("app.") or (not start and "setattr" in ast.unparse(node.func)):
                        yield last


def test_tests_use_public_names() -> None:
    found = {str(path.relative_to(ROOT)): set(filter(is_private, private_names(path))) for path in TESTS}
    used = {path: names for path, names in found.items() if names}
    new = {path: sorted(names - TO_FIX.get(path, set())) for path, names in used.items()}
    assert not {path: names for path, names in new.items() if names}, "use a public name, or give the code a knob"
    gone = {path: sorted(names - used.get(path, set())) for path, names in TO_FIX.items()}
    assert not {path: names for path, names in gone.items() if names}, "take these off the list"
