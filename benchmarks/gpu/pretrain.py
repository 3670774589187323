"""Continues cloze-text until the time is over: python -m benchmarks.gpu.pretrain OPTIONS (JSON)

Writes the weights of the end in parts. The run ends by itself a little before CLOZE_GPU_SECONDS.
"""

import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from app.training.loop.distributed import SilentHooks
from app.training.run import run
from benchmarks.gpu.parts import split_folder
from benchmarks.gpu.text_job import make_job

_SAVING = 30.0  # seconds for reading the data, the last evaluation and the parts


class Printer(SilentHooks):
    """Hooks that print what happens."""

    def on_event(self, message: str, *_: Any, **__: Any) -> None:
        print(message, flush=True)

    def on_checkpoint(self, step: int, folder: Path, metrics: dict[str, float]) -> None:
        print(f"checkpoint at step {step}: {json.dumps(metrics)}", flush=True)


def main(options: dict[str, Any]) -> dict[str, Any]:
    began = time.monotonic()
    seconds = float(os.environ.get("CLOZE_GPU_SECONDS", "60"))
    out = Path(options["out"])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        minutes = max(0.05, (seconds - _SAVING) / 60)
        job = make_job(
            options["store"],
            folder,
            options["device"],
            options["files"],
            options["held_out"],
            max_minutes=minutes,
            batch_tokens=options["batch_tokens"],
            export_dtype="bfloat16",  # as the shipped weights; four parts
        )
        result = run(job, Printer())
        parts = split_folder(result.folder, out)
        shutil.rmtree(folder / "run", ignore_errors=True)
    return {
        "metrics": {key: round(value, 4) for key, value in result.metrics.items()},
        "minutes": round(minutes, 2),
        "parts": len(parts),
        "seconds": round(time.monotonic() - began),
    }


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
