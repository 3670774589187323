"""Cloze's side: one job through `app.training.run`, as a worker's trainer would run it, in a process of its own.

python -m benchmarks.pretraining.cloze_run OPTIONS.json: trains and prints one line of JSON, {"seconds", "steps"}.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

from app.methods import METHODS
from app.training.data.source_file import SourceFile
from app.training.job import TrainingJob
from app.training.loop.distributed import SilentHooks
from app.training.run import run


class Clock(SilentHooks):
    """Hooks that take the time from the end of the last step that warms up to that of the last one."""

    def __init__(self, warm: int) -> None:
        self.warm, self.started, self.ended = warm, 0.0, 0.0

    def on_progress(self, progress: Any) -> None:
        self.ended = time.perf_counter()
        if progress.step == self.warm:
            self.started = self.ended


def job(options: dict[str, Any], *, from_preset: bool = False) -> TrainingJob:
    method = options["method"]
    return TrainingJob(
        method=method,
        model=options["model"] if from_preset else Path(options["model"]),
        hyperparameters=METHODS[method].hyperparameters.model_validate(options["hyperparameters"]),
        training_files=tuple(SourceFile(Path(p), Path(p).name) for p in options["files"]),
        validation_files=(SourceFile(Path(options["held_out"]), Path(options["held_out"]).name),),
        run_dir=Path(options["out"]),
        cache_dir=Path(options["cache"]),
        device="cpu",
        threads=options["threads"],
    )


def main(options: dict[str, Any]) -> None:
    clock = Clock(options["warm"])
    run(job(options), clock)
    steps = options["hyperparameters"]["max_steps"] - options["warm"]
    print(json.dumps({"seconds": clock.ended - clock.started, "steps": steps}))


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
