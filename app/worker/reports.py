"""Reports of a run to its job's record: the hooks of `app.training`."""

import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from app.jobs.artifacts import JobArtifacts
from app.jobs.findings import record_chosen, record_verdict
from app.jobs.spec import Progress, Verdict
from app.jobs.worker_queue import Claim, StopReason, WorkerQueue
from app.telemetry.tracing import JobTrace
from app.worker.backlog import Backlog
from app.worker.loggers import Loggers
from app.worker.system import SystemMetrics

if TYPE_CHECKING:
    from app.training.hooks import Snapshot

_PROGRESS_INTERVAL = 1.0  # seconds; every write is fsynced, and steps may take milliseconds


class Reports:
    """The hooks of a run. Every write is fenced: it raises LeaseLost once the job belongs to another attempt.

    Training continues while Redis is away: reports and checkpoints' records wait, in their order.
    `fence` and `flush` wait for Redis.

    folder: the job's own, which checkpoint paths are relative to.
    draining: whether this process has been asked to hand the job back.
    quick: a queue that gives up at once where `queue` waits.
    """

    def __init__(
        self,
        queue: WorkerQueue,
        claim: Claim,
        folder: Path,
        draining: Callable[[], bool],
        *,
        quick: WorkerQueue | None = None,
        backlog: Backlog | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._patient, self._queue = queue, quick or queue
        self._backlog = backlog or Backlog()
        self._clock = clock
        self._claim = claim
        self._folder = folder
        self._draining = draining
        self._unsaved: Progress | None = None
        self._saved_at = 0.0
        self._system: SystemMetrics | None = None
        self._loggers: Loggers | None = None
        self.trace: JobTrace | None = None  # that reports of the training are added to

    def attach(self, system: SystemMetrics, loggers: Loggers) -> None:
        """Adds the machine's metrics to those of the training, and sends both to the loggers too."""
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
            if self.trace is not None:
                self.trace.on_metrics(values)
            if self._loggers:
                self._loggers.log(values["step"], {k: v for k, v in values.items() if k != "step"})
        self._backlog.put(partial(self._queue.append_event, self._claim, message, level=level, type=kind, data=values))

    def on_progress(self, progress: "Snapshot") -> None:
        found = Progress(
            percent=round(100 * progress.fraction, 2),
            step=progress.step,
            total_steps=progress.total_steps,
            tokens=progress.tokens,
            epoch=round(progress.epoch, 4),
            tokens_per_second=progress.tokens_per_second,
            eta_seconds=progress.eta_seconds,
        )
        self.report_progress(found)

    def report_progress(self, progress: Progress) -> None:
        """Writes the progress at most once a second; the last one is written by `flush`."""
        self._unsaved = progress
        if self._clock() - self._saved_at >= _PROGRESS_INTERVAL:
            self._backlog.ask(self._save_progress, None)

    def flush(self) -> None:
        """Returns when everything is written, the progress that the interval held back included."""
        self._backlog.put(self._save_progress)
        self._backlog.drain()

    def _save_progress(self) -> None:
        if self._unsaved is not None:
            self._queue.set_progress(self._claim, self._unsaved)
            self._unsaved = None
            self._saved_at = self._clock()

    def on_checkpoint(self, step: int, folder: Path, metrics: Mapping[str, float]) -> None:
        path = folder.relative_to(self._folder).as_posix()
        self._backlog.put(partial(self._queue.add_checkpoint, self._claim, step, path, metrics))
        self._backlog.put(self._forget_checkpoints)

    def _forget_checkpoints(self) -> None:
        """Removes checkpoints that were deleted from disk from the job's list."""
        if gone := [c.step for c in self._queue.checkpoints(self._claim) if not (self._folder / c.path).exists()]:
            self._queue.forget_checkpoints(self._claim, gone)

    def on_artifact(self, step: int, ending: str, content: bytes) -> None:
        """Kept in the job's folder, and named in an event."""
        name = f"step-{step:09d}.{ending}"
        self.save_artifact(name, content)
        self.on_event(f"Step {step}: {name} shows held-out items", {"step": step, "artifact": name})

    def save_artifact(self, name: str, content: bytes) -> None:
        """Keeps a file in the job's folder, in place of one of the same name."""
        self._backlog.put(partial(self._save_artifact, name, content))

    def _save_artifact(self, name: str, content: bytes) -> None:
        self._queue.check(self._claim)
        JobArtifacts(self._folder.parent, self._claim.job_id).save(name, content)

    def on_chosen(self, chosen: Mapping[str, Any], message: str) -> None:
        self._backlog.put(partial(self._queue.change_held, self._claim, record_chosen(chosen, message)))

    def on_verdict(self, verdict: Mapping[str, Any]) -> None:
        self._backlog.put(partial(self._queue.change_held, self._claim, record_verdict(Verdict(**verdict))))

    def should_stop(self) -> StopReason | Literal["drain"] | None:
        self._backlog.deliver()
        return "drain" if self._draining() else self._backlog.ask(self._stop_requested, None)

    def _stop_requested(self) -> StopReason | None:
        return self._queue.stop_requested(self._claim)

    def can_save(self) -> bool:
        return self._backlog.ask(self._holds, otherwise=False)

    def _holds(self) -> bool:
        self._queue.check(self._claim)
        return True

    def fence(self) -> None:
        self._patient.check(self._claim)
