"""Runs the guides: python -m benchmarks.guides DATA GUIDE...

A guide is a page of docs/guides. Each of its blocks that begin with ```console holds one command, after `$ `, and the
output of its last run. The commands of a guide run one after another in the folder DATA, beside a server of their own,
and their new output replaces the old one in the page. `--check` leaves the page as it is. A command that fails ends
the run.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from benchmarks.service import free_port

GUIDES = Path(__file__).parents[1] / "docs" / "guides"
BLOCK = re.compile(r"(?ms)^```console\n\$ (?P<command>(?:[^\n]*\\\n)*[^\n]*)\n.*?^```$")


@contextmanager
def serve(folder: Path, store: Path | None) -> Iterator[dict[str, str]]:
    """Runs `cloze serve` with its files in `folder`. Yields the environment of its clients."""
    port = free_port()
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(GUIDES.parents[1]),
        "CLOZE_PORT": str(port),
        "CLOZE_URL": f"http://127.0.0.1:{port}",
        "CLOZE_VAR_DIR": str(folder / "var"),
        "CLOZE_MODEL_STORE": str(store or folder / "store"),
        "CLOZE_WARMUP": "false",
        "COLUMNS": "100",
    }
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen([sys.executable, "-m", "app.cli", "serve"], env=environment, stdout=log, stderr=log)
    try:
        wait_for(environment["CLOZE_URL"], server)
        yield environment
    finally:
        server.terminate()
        server.wait(60)


def wait_for(url: str, server: "subprocess.Popen[bytes]") -> None:
    """Returns once the server answers. Raises RuntimeError if it has ended."""
    while server.poll() is None:
        try:
            httpx.get(f"{url}/health", timeout=5)
            return
        except httpx.TransportError:
            time.sleep(0.2)
    raise RuntimeError("cloze serve has ended; its log is in the folder of the run")


def run_guide(path: Path, data: Path, environment: dict[str, str]) -> str:
    """Runs the commands of a guide in the folder `data`. Returns the page with their new output."""

    def run(block: re.Match[str]) -> str:
        command = block["command"]
        print(f"$ {command}", flush=True)
        ran = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            cwd=data,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        print(ran.stdout, flush=True)
        if ran.returncode:
            raise SystemExit(f"{path.name}: the command ended with {ran.returncode}")
        return f"```console\n$ {command}\n{ran.stdout.rstrip()}\n```"

    return BLOCK.sub(run, path.read_text(encoding="utf-8"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder in which the commands run")
    parser.add_argument("guides", nargs="+", metavar="GUIDE", help="names of pages of docs/guides, without .md")
    parser.add_argument("--check", action="store_true", help="leave the pages as they are")
    parser.add_argument("--store", type=Path, help="model store; by default a new one that is deleted")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, serve(Path(folder), given.store) as environment:
        for path in (GUIDES / f"{name}.md" for name in given.guides):
            page = run_guide(path, given.data, environment)
            if not given.check:
                path.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
