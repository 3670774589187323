"""One consumer of a queue: it works on the jobs of one kind, one after another."""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from app.jobs.worker_queue import WorkerQueue
from app.jobs.workers import Capabilities
from app.system.log_format import add_log_fields, restore_log_fields
from app.worker.supervisor import Supervisor

_log = logging.getLogger(__name__)


class QueueConsumer:
    """Call `work` from one thread, and `beat` from another.

    command, environment: those of a job's process, as `Supervisor` takes them.
    stopping: whether the worker was asked to stop.
    """

    def __init__(
        self,
        kind: str,
        queue: WorkerQueue,
        jobs_dir: Path,
        command: Sequence[str],
        environment: Mapping[str, str],
        stopping: Callable[[], bool],
    ) -> None:
        self.kind = kind
        self._queue = queue
        self._jobs_dir = jobs_dir
        self._command, self._environment = command, environment
        self._stopping = stopping
        self._current: Supervisor | None = None

    @property
    def job_id(self) -> str | None:
        """The job that is worked on."""
        current = self._current
        return current.claim.job_id if current else None

    def work(self, worker_id: str, lease_seconds: float, offered: Capabilities) -> None:
        """Works on jobs until none waits: one wake-up may stand for many jobs."""
        while not self._stopping() and (claim := self._queue.claim(worker_id, lease_seconds, offered, kind=self.kind)):
            token = add_log_fields(job_id=claim.job_id, attempt=claim.attempt)
            _log.info("job %s, attempt %d: started", claim.job_id, claim.attempt)
            self._current = Supervisor(
                self._queue, claim, self._jobs_dir, self._command, self._environment, self._stopping
            )
            try:
                self._current.run()
            finally:
                self._current = None
                _log.info("job %s, attempt %d: ended", claim.job_id, claim.attempt)
                restore_log_fields(token)

    def beat(self, lease_seconds: float) -> None:
        """Renews the lease of the current job, if there is one."""
        current = self._current
        if current is not None:
            current.beat(lease_seconds)
