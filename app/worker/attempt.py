"""One attempt at a job, from its claim to its outcome. Knows the store and the queue, not torch."""

import logging
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from app.errors import AppError
from app.jobs.connection import StorageError
from app.jobs.files import FileStore
from app.jobs.kinds import JobState
from app.jobs.spec import Job, JobError
from app.jobs.worker_queue import Claim, LeaseLost, WorkerQueue
from app.publishing.publication import Publisher
from app.settings import Settings
from app.store.store import ModelEntry, ModelStore
from app.system.disk_space import full_disk
from app.system.locks import acquire_lock
from app.telemetry.tracing import trace_attempt
from app.training.hooks import Killed, Stopped
from app.worker.backlog import Backlog
from app.worker.reports import Reports


@dataclass(frozen=True)
class AttemptServices:
    """The services that an attempt uses."""

    settings: Settings
    queue: WorkerQueue
    files: FileStore
    store: ModelStore


@dataclass(frozen=True)
class Attempt:
    """One try of a worker at a job: what the job's process knows when it begins to train."""

    job: Job  # the record at the beginning: specification, earlier kills, where an extension began
    claim: Claim  # fences every write
    folder: Path  # the job's own: checkpoints, export, logs


# Does the work of a job. Returns the model that it has published, or None for a job that publishes none.
# Raises Stopped when the job is to stop.
Execute = Callable[[Attempt, Reports, AttemptServices], ModelEntry | None]

WAIT = "wait"  # the reason of a job that waits for others, and is not claimed before they have ended
_DISK = "the disk of the worker's machine"

_log = logging.getLogger(__name__)


class AttemptRunner:
    """Runs one attempt, from its claim to its outcome.

    draining: whether this process was told to hand the job back; asked at every step.

    services: their `queue` waits for a Redis that is away. quick: a queue that does not wait, for reports on the way.
    """

    def __init__(
        self,
        services: AttemptServices,
        claim: Claim,
        draining: Callable[[], bool],
        *,
        quick: WorkerQueue | None = None,
        backlog: Backlog | None = None,
    ) -> None:
        self._services = services
        self._queue = services.queue
        self._publisher = Publisher(services.store, services.files, services.settings.jobs_dir)
        self._claim = claim
        self._folder = services.settings.jobs_dir / claim.job_id
        self._reports = Reports(services.queue, claim, self._folder, draining, quick=quick, backlog=backlog)

    def run(self, execute: Execute) -> None:
        """Ends the job, or queues it again. Does nothing if another attempt has it."""
        try:
            try:
                lock = self._folder_lock()
            except OSError as e:
                if (error := full_disk(e, _DISK)) is None:
                    raise
                self._fail(_error(error))
                return
            with lock:
                self._settle(execute)
        except LeaseLost:
            _log.warning("attempt %d lost its job %s", self._claim.attempt, self._claim.job_id)

    def _settle(self, execute: Execute) -> None:
        self._reports.fence()
        job = self._queue.read(self._claim)
        try:
            published = self._publisher.find_result(job)
            if published is None and job.state is JobState.CANCELLING:  # what is left is to publish what there is
                self._stop("cancel")
                return
            if published is None:
                with trace_attempt(job.id, self._claim.attempt, job.trace) as trace:
                    self._reports.trace = trace
                    published = execute(Attempt(job, self._claim, self._folder), self._reports, self._services)
        except (LeaseLost, StorageError):
            raise
        except Stopped as e:
            self._reports.flush()
            self._stop(e.reason)
        except AppError as e:
            _log.exception("the job failed")
            self._fail(_error(e))
        except Killed:
            # Ends this process in the same way: its supervisor takes a kill for a crash and tries again.
            _log.exception("a part of the trainer was killed")
            os.kill(os.getpid(), signal.SIGKILL)
        except Exception as e:
            _log.exception("the job failed by an error of Cloze or of its machine")
            unknown = AppError(f"the trainer failed ({type(e).__name__}); its log has the details")
            self._fail(_error(full_disk(e, _DISK) or unknown))
        else:
            if published is not None:
                self._repeat_evaluations(job, published)
            self._queue.succeed(self._claim, published.id if published else None)

    def _repeat_evaluations(self, job: Job, published: ModelEntry) -> None:
        """Queues the evaluations that a job names, on its model. One that cannot be repeated is only reported."""
        for evaluation_id in job.spec.repeated_evaluations:
            try:
                queued = self._queue.follow_ups.repeat_evaluation(evaluation_id, published.id)
            except AppError as error:
                self._reports.on_event(f"Cannot repeat the evaluation {evaluation_id}: {error.message}", level="warn")
            else:
                message = f"Queued the evaluation {queued.spec.name} of {published.id} as {queued.id}"
                self._reports.on_event(message, {"evaluation": queued.id})
            self._reports.flush()

    def _fail(self, error: JobError) -> None:
        self._reports.flush()
        self._queue.fail(self._claim, error)

    def _stop(self, reason: str) -> None:
        if reason == "cancel":
            self._queue.mark_cancelled(self._claim, self._publish_last_checkpoint())
        elif reason == "pause":
            self._queue.mark_paused(self._claim)
        elif reason == "deadline":
            self._queue.mark_late(self._claim)
        elif reason == "drain":
            self._queue.requeue(self._claim, "The worker is stopping", crashed=False)
        elif reason == WAIT:
            self._queue.requeue(self._claim, "The job waits for others", crashed=False)

    def _publish_last_checkpoint(self) -> str | None:
        """Publishes the last checkpoint of a job whose user asked for that when cancelling it."""
        job = self._queue.read(self._claim)
        checkpoints = self._queue.checkpoints(self._claim)
        if not job.publish_requested or not checkpoints:
            return None
        return self._publisher.publish_checkpoint(job, checkpoints[0], fence=self._reports.fence).id

    def _folder_lock(self) -> IO[bytes]:
        """Holds the job's lock file: no two processes of one machine write to its folder.

        Forked data loaders must not keep the lock. The last holder is dead or dying, so this waits.

        Raises:
            LeaseLost: The job is lost meanwhile.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        file = (self._folder / "lock").open("ab")
        while True:
            try:
                acquire_lock(file, wait=False, survives_fork=False)
            except BlockingIOError:
                self._reports.fence()
                time.sleep(0.05)
            else:
                return file


def _error(error: AppError) -> JobError:
    """A mistake that a request would be refused for is the user's, though it came to light only now."""
    kind: Literal["user_error", "system_error"] = "user_error" if error.status < 500 else "system_error"
    return JobError(code=error.code, message=error.message, param=error.param, type=kind)
