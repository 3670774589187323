"""RQ, as the bell that wakes idle workers, and no more.

A wake-up says "claim what is next"; it names no job, may be lost and may come twice. So nothing
depends on how RQ treats a job whose worker dies (its defaults rerun it after 815 s).
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from rq import Queue, SimpleWorker
from rq.exceptions import StopRequested
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.worker.base import WorkerStatus

from app.jobs.connection import Client, StorageError
from app.jobs.spec import Job as Record

QUEUE_NAME = "cloze"
# RQ blocks for worker_ttl - 15 s in one read; the signal handler interrupts it in between.
_WORKER_TTL = 17

_log = logging.getLogger(__name__)


class Wakeups:
    def __init__(self, redis: Client) -> None:
        self._queue = Queue(QUEUE_NAME, connection=redis, serializer=JSONSerializer)

    def send(self, reason: str) -> None:
        """`reason` is what RQ's own tools show as the wake-up's description."""
        self._queue.enqueue_call("app.jobs.wakeups.wake", description=reason, timeout=-1, ttl=3600, failure_ttl=60)

    def send_for(self, job: Record) -> None:
        """Wakes a worker if the job waits for one. If Redis is unreachable, the reconciler does it later."""
        if not job.waits:
            return
        try:
            self.send(job.id)
        except StorageError as error:
            _log.warning("no wake-up was sent for job %s: %s", job.id, error)

    def waiting(self) -> int:
        return len(self._queue)


def wake() -> None:
    """The function that a wake-up names; `WakeupListener` acts in its place."""


@contextmanager
def _ending_on_outage() -> Iterator[None]:
    """Ends RQ's loop quietly if Redis is away; the worker begins another one."""
    try:
        yield
    except StorageError as error:
        raise StopRequested from error


class WakeupListener(SimpleWorker):
    """RQ's worker in this process's main thread: no fork, and no job of its own.

    on_wake: runs in the main thread until there is nothing left to claim.
    on_stop: called by the handler of SIGTERM and SIGINT, so it may only set a flag.
    """

    max_connection_wait_time = 2.0  # seconds; RQ's own 60 would sleep through a short outage of Redis

    def __init__(self, redis: Client, *, on_wake: Callable[[], None], on_stop: Callable[[], None]) -> None:
        super().__init__(
            [Queue(QUEUE_NAME, connection=redis, serializer=JSONSerializer)],
            connection=redis,
            serializer=JSONSerializer,
            worker_ttl=_WORKER_TTL,
            log_job_description=False,
        )
        self._on_wake = on_wake
        self._on_stop = on_stop
        self._waiting = False

    # The steps of RQ's loop. It takes an outage of Redis in most of them for a bug, and logs a traceback.

    def check_for_suspension(self, burst: bool) -> None:
        with _ending_on_outage():
            super().check_for_suspension(burst)

    def run_maintenance_tasks(self) -> None:
        with _ending_on_outage():
            super().run_maintenance_tasks()  # type: ignore[no-untyped-call]

    def dequeue_job_and_maintain_ttl(self, timeout: int | None, max_idle_time: int | None = None) -> Any:
        self._waiting = True
        try:
            if self._stop_requested:  # the signal came after RQ's own check
                raise StopRequested
            with _ending_on_outage():
                return super().dequeue_job_and_maintain_ttl(timeout, max_idle_time)
        finally:
            self._waiting = False

    def execute_job(self, job: Job, queue: Queue) -> None:
        with _ending_on_outage():
            # Gone before the work begins: RQ then has nothing to time out, to rerun or to clean up.
            self.connection.lrem(queue.intermediate_queue_key, 1, job.id)
            job.delete(remove_from_queue=False)
            self.set_state(WorkerStatus.BUSY)
            self._on_wake()
            self.set_state(WorkerStatus.IDLE)

    def heartbeat(self, timeout: int | None = None, pipeline: Any = None) -> None:
        """Keeps this worker in RQ's list, on which nothing depends: the next step notices an outage of Redis."""
        with suppress(StorageError):
            super().heartbeat(timeout, pipeline)

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        self._stop_requested = True
        self._on_stop()
        if self._waiting:
            raise StopRequested  # leaves the blocking read
