"""Runs whose process is killed, really and at random, until one of them comes to its end."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from app.training.job import TrainingJob
from app.training.loop.checkpoint import list_checkpoints
from app.training.run import run
from tests.fakes.forks import FORKS
from tests.fakes.runs import Recorder, weights

OPTIONS: dict[str, Any] = {"max_steps": 30, "checkpoint_interval": 3, "eval_interval": 10, "keep_checkpoints": 1}
FILE_EVENTS = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir"}


class Counted(Recorder):
    """Kills its own process at the `last`-th moment: a step, or an operation on the job's files."""

    def __init__(self, last: int, folder: Path) -> None:
        super().__init__()
        self.left, self.folder = last, str(folder)
        sys.addaudithook(self.audit)

    def audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in FILE_EVENTS and str(arguments[0]).startswith(self.folder):
            self.tick(event)

    def tick(self, moment: str) -> None:
        self.left -= 1
        if self.left == 0:
            with open(f"{self.folder}.kills", "a") as log:
                log.write(f"{moment} at step {self.step}\n")
            os.kill(os.getpid(), signal.SIGKILL)

    def on_progress(self, progress: Any) -> None:
        super().on_progress(progress)
        self.tick("a step")

    def on_checkpoint(self, *arguments: Any) -> None:
        super().on_checkpoint(*arguments)
        self.tick("a saved checkpoint")

    def fence(self) -> None:
        self.tick("right before a checkpoint's rename")


def attempt(job: TrainingJob, last: int) -> None:
    run(job, Counted(last, job.run_dir))


@pytest.mark.parametrize("seed", [1, 2])
def test_however_often_it_is_killed_the_result_is_the_same(job: Callable[..., TrainingJob], seed: int) -> None:
    undisturbed = run(job("undisturbed", gradient_accumulation_steps=2, **OPTIONS), Recorder())
    rng, killed = np.random.default_rng(seed), job("killed", gradient_accumulation_steps=2, **OPTIONS)
    codes: list[int | None] = []
    while codes[-1:] != [0]:
        process = FORKS.Process(target=attempt, args=(killed, int(rng.integers(20, 120))))
        process.start()
        process.join()
        codes.append(process.exitcode)
        assert codes[-1] in (0, -signal.SIGKILL)

    moments = Path(f"{killed.run_dir}.kills").read_text().splitlines()
    assert len(moments) == len(codes) - 1 >= 3
    found = load_file(killed.run_dir / "export" / "model.safetensors")
    for key, value in weights(undisturbed).items():
        assert np.array_equal(value, found[key]), f"{key}, after {moments}"
    assert len(list(list_checkpoints(killed.run_dir / "checkpoints"))) == 1
