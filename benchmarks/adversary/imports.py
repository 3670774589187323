"""Model folders of a stranger, given to `cloze models import`.

Links out of the folder, a pipe, a card that a regular expression backtracks on, a deeply nested configuration, and ten
million layers. Right: each is refused with one line within seconds, and nothing is published but the card's model.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.adversary.common import ROOT

SECONDS = 30.0  # for each


def link_out(folder: Path) -> None:
    (folder / "notes.txt").symlink_to("/etc/passwd")


def pipe(folder: Path) -> None:
    os.mkfifo(folder / "extra.json")
    (folder / "config.json").unlink()
    os.mkfifo(folder / "config.json")


def endless_card(folder: Path) -> None:
    (folder / "README.md").write_text("---\n" + "license: x\n" * 200_000)


def nested(folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type": "bert", "a": ' + "[" * 200_000 + "]" * 200_000 + "}")


def many_layers(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 10_000_000}))


ATTACKS: list[Callable[[Path], None]] = [link_out, pipe, endless_card, nested, many_layers]


def main() -> None:
    original = max((ROOT / "model_store" / "cloze-text").glob("[0-9]*"))
    for attack in ATTACKS:
        with tempfile.TemporaryDirectory(prefix="cloze-adversary-") as place:
            folder = Path(place) / "hostile"
            shutil.copytree(original, folder)
            (folder / "manifest.json").unlink()
            attack(folder)
            command = [sys.executable, "-m", "app.cli", "models", "import", str(folder), "--name", "m"]
            environment = {**os.environ, "CLOZE_MODEL_STORE": f"{place}/store"}
            started = time.monotonic()
            try:
                done = subprocess.run(
                    command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
                )
                lines = (done.stderr or done.stdout).strip().splitlines()
                told = f"exit code {done.returncode}, {len(lines)} lines, the last: {lines[-1][:120] if lines else ''}"
            except subprocess.TimeoutExpired:
                told = "ended by the script"
            print(f"{attack.__name__}: {time.monotonic() - started:.1f} s, {told}")


if __name__ == "__main__":
    main()
