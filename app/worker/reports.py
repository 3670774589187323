"""What a run says of itself, written to its job's record: the hooks of `app.training`."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from app.jobs.artifacts import JobArtifacts
from app.jobs.queue import Claim, JobStore, StopReason
from app.jobs.spec import Progress
from app.worker.loggers import Loggers
from app.worker.system import SystemMetrics

if TYPE_CHECKING:
    from app.training.trainer import Snapshot

_PROGRESS_INTERVAL = 1.0  # seconds; every write is fsynced, and steps may take milliseconds


class Reports:
    """Every write is fenced: it raises LeaseLost once the job is another attempt's.

    folder: the job's own, which checkpoint paths are relative to.
    draining: whether this process has been asked to hand the job back.
    """

    def __init__(self, jobs: JobStore, claim: Claim, folder: Path, draining: Callable[[], bool]) -> None:
        self._jobs = jobs
        self._claim = claim
        self._folder = folder
        self._draining = draining
        self._unsaved: Progress | None = None
        self._saved_at = 0.0
        self._system: SystemMetrics | None = None
        self._loggers: Loggers | None = None

    def attach(self, system: SystemMetrics, loggers: Loggers) -> None:
        """From now on metrics have the machine's beside them, and go to the loggers too."""
        self._system, self._loggers = system, loggers

    def on_event(
        self,
        message: str,
        data: Mapping[str, Any] | None = None,
        *,
        level: Literal["info", "warn", "error"] = "info",
        kind: Literal["message", "metrics"] = "message",
    ) -> None:
        values = dict(data or {})
        if kind == "metrics":
            values |= self._system.sample() if self._system else {}
            if self._loggers:
                self._loggers.log(values["step"], {k: v for k, v in values.items() if k != "step"})
        self._jobs.append_event(self._claim, message, level=level, type=kind, data=values)

    def on_progress(self, progress: "Snapshot") -> None:
        self._unsaved = Progress(
            percent=round(100 * progress.fraction, 2),
            step=progress.step,
            total_steps=progress.total_steps,
            tokens=progress.tokens,
            epoch=round(progress.epoch, 4),
            tokens_per_second=progress.tokens_per_second,
            eta_seconds=progress.eta_seconds,
        )
        if time.monotonic() - self._saved_at >= _PROGRESS_INTERVAL:
            self.flush()

    def flush(self) -> None:
        """Writes the progress that the interval held back."""
        if self._unsaved is not None:
            self._jobs.set_progress(self._claim, self._unsaved)
            self._unsaved = None
            self._saved_at = time.monotonic()

    def on_checkpoint(self, step: int, folder: Path, metrics: Mapping[str, float]) -> None:
        path = folder.relative_to(self._folder).as_posix()
        self._jobs.add_checkpoint(self._claim, step, path, metrics)
        known, _ = self._jobs.checkpoints(self._claim.job_id, limit=1000)
        if gone := [c.step for c in known if not (self._folder / c.path).exists()]:
            self._jobs.forget_checkpoints(self._claim, gone)

    def on_artifact(self, step: int, ending: str, content: bytes) -> None:
        """Kept in the job's folder, and named in an event."""
        self.fence()
        name = f"step-{step:09d}.{ending}"
        JobArtifacts(self._folder.parent, self._claim.job_id).save(name, content)
        self.on_event(f"Step {step}: {name} shows held-out items", {"step": step, "artifact": name})

    def should_stop(self) -> StopReason | Literal["drain"] | None:
        return "drain" if self._draining() else self._jobs.stop_requested(self._claim)

    def fence(self) -> None:
        self._jobs.check(self._claim)
