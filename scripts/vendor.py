"""Fetches the page's libraries: `python scripts/vendor.py`, which needs npm and its registry.

Each package comes by `npm pack` at its pinned version and must have the SHA-512 that the lock file
names. The files that are wanted are copied out of it; nothing is built. Imports by bare names
(`from "preact"`) become relative paths, for which a page with a strict policy needs no import map,
and comments that point at source maps go. The lock file also holds the SHA-256 of every file as it
lies in the repository, which a test compares.
"""

import base64
import hashlib
import json
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
VENDOR = ROOT / "app" / "web" / "static" / "vendor"
LOCK = VENDOR / "lock.json"

# What an import of a bare name becomes; every library lies in the one folder.
PLACES = {
    "preact": "./preact.js",
    "preact/hooks": "./hooks.js",
    "@preact/signals-core": "./signals-core.js",
}
# The end of webpack's head, with the object that gets the library where there is no loader. A module has no `this`.
UNIVERSAL, GLOBAL = "})(this, function", "})(globalThis, function"


def main() -> None:
    lock = json.loads(LOCK.read_text(encoding="utf-8"))
    for name, package in lock["packages"].items():
        content = fetch(name, package["version"])
        if (found := integrity(content)) != package["integrity"]:
            sys.exit(f"{name}@{package['version']} is not what the lock file names: {found}")
        package["sha256"] = {target: copy(content, source, target) for target, source in package["files"].items()}
        print(f"{name}@{package['version']}: {', '.join(package['files'])}")
    LOCK.write_text(json.dumps(lock, indent=2) + "\n", encoding="utf-8")


def fetch(name: str, version: str) -> Path:
    """The package as npm gives it, a .tgz in a temporary folder."""
    folder = tempfile.mkdtemp(prefix="vendor-")
    done = subprocess.run(
        ["npm", "pack", "--silent", f"{name}@{version}"], cwd=folder, check=True, text=True, stdout=-1
    )
    return Path(folder) / done.stdout.strip()


def integrity(package: Path) -> str:
    """As npm writes it: sha512-BASE64."""
    return "sha512-" + base64.b64encode(hashlib.sha512(package.read_bytes()).digest()).decode()


def copy(package: Path, source: str, target: str) -> str:
    """Copies one file of the package into the vendor folder; its SHA-256 as it lies there."""
    with tarfile.open(package) as archive:
        file = archive.extractfile(f"package/{source}")
        assert file is not None
        text = file.read().decode()
    if target.endswith(".js"):
        text = re.sub(r"\n//# sourceMappingURL=\S+", "", text)
        text = text.replace(UNIVERSAL, GLOBAL, 1)
        for name, place in PLACES.items():
            text = re.sub(rf'(\bfrom\s*)"{re.escape(name)}"', rf'\1"{place}"', text)
    (VENDOR / target).write_text(text, encoding="utf-8")
    return hashlib.sha256(text.encode()).hexdigest()


if __name__ == "__main__":
    main()
