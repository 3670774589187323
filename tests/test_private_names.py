"""Tests use public names of app/ and no raw keys of Redis: what they cannot reach otherwise lacks a knob."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
TESTS = sorted((ROOT / "tests").rglob("*.py"))

# Names with an underscore that belong to others and are meant to be used.
OF_OTHERS = {"_exit", "_replace", "_attn_implementation", "_is_mkldnn_bf16_supported", "_forward_hooks"}


RAW_KEY = re.compile("cloze:[a-z*]")  # messages of the command line have a space after the colon


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
    found = {str(path.relative_to(ROOT)): sorted({*filter(is_private, private_names(path))}) for path in TESTS}
    assert not {path: names for path, names in found.items() if names}, "use a public name, or give the code a knob"


def test_tests_use_no_raw_keys_of_redis() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in TESTS
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if RAW_KEY.match(node.value) and path != Path(__file__)
    ]
    assert not found, "use the names of app/jobs/indexes.py, or tests/fakes/jobs.py"
