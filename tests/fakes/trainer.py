"""A trainer without torch: `python -m tests.fakes.trainer JOB_ID ATTEMPT`.

Its job's hyperparameters say what happens: `max_steps`; `hold_at`: wait there until the job's
folder has a file `go`; `kill_at`: die at that step; `kill_publishing`: in the first attempt, die at
that operation on the model store's files; `error`: "user" or "system". It counts on from
the checkpoint `step` in the job's folder.
"""

import os
import signal
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from app.errors import InvalidData
from app.types import ModalityName, Task
from app.worker.attempt import Attempt, AttemptServices
from app.worker.attempt_main import run_attempt
from app.worker.pretraining import train_and_publish
from app.worker.reports import Reports
from tests.fakes.checkpoints import write_checkpoint, write_skeleton

FILE_EVENTS = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir"}


def train(attempt: Attempt, reports: Reports, services: AttemptServices) -> Any:
    wishes, folder = attempt.job.spec.hyperparameters, attempt.folder
    counter = folder / "step"
    first = int(counter.read_text()) if counter.exists() else 0
    write_skeleton(folder)
    if wishes.get("error") == "user":
        raise InvalidData("line 3 is no JSON", param="training_file")
    if wishes.get("error") == "system":
        raise RuntimeError("a secret detail")
    for step in range(first + 1, wishes["max_steps"] + 1):
        if stopped := reports.should_stop():
            return result(folder, stopped)
        if step == wishes.get("kill_at"):
            sys.stdout.write("about to die\n")
            sys.stdout.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        report(reports, step, wishes["max_steps"])
        reports.fence()
        checkpoint = write_checkpoint(folder, step)
        count(counter, step)
        reports.on_checkpoint(step, checkpoint, {"eval_loss": 1 / step})
        while step == wishes.get("hold_at") and not (folder / "go").exists() and not reports.should_stop():
            time.sleep(0.01)
    if "kill_publishing" in wishes and attempt.job.attempt == 1:
        die_at_file_operation(services.settings.model_store, wishes["kill_publishing"])
    return result(folder, None)


def count(counter: Path, step: int) -> None:
    """Writes the step whole or not at all: the process may be killed here, while the next attempt reads."""
    own = counter.with_suffix(f".{os.getpid()}")
    own.write_text(str(step))
    own.replace(counter)


def die_at_file_operation(root: Path, number: int) -> None:
    """Kills this process at its `number`-th operation on a file or folder under `root` from now on."""
    left = number

    def audit(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal left
        if event in FILE_EVENTS and str(arguments[0]).startswith(str(root)):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(audit)


def report(reports: Reports, step: int, last: int) -> None:
    reports.on_event(f"Step {step}", {"step": step, "train_loss": 1 / step}, kind="metrics")
    snapshot: Any = SimpleNamespace(
        step=step,
        total_steps=last,
        tokens=step * 100,
        epoch=0.5,
        fraction=step / last,
        tokens_per_second=9.0,
        eta_seconds=1.0,
    )
    reports.on_progress(snapshot)


def result(folder: Path, stopped: str | None) -> Any:
    export = folder / "export"
    export.mkdir(exist_ok=True)
    (export / "config.json").write_text("{}")
    return SimpleNamespace(
        folder=export,
        modality=ModalityName.TEXT,
        architecture="bert",
        tasks=(Task.FILL_MASK, Task.EMBED),
        parameters=1234,
        forward_path=None,
        metrics={"eval_loss": 0.5},
        outcome=SimpleNamespace(stopped=stopped),
    )


if __name__ == "__main__":
    run_attempt(sys.argv[1:], train_and_publish(train))
