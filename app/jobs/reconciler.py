"""Keeps the queue true: silent workers lose their jobs, deadlines pass, lost wake-ups are sent again.

Every worker and every server does it, five times a lease, so that a queue without workers is honest too.
Servers also repair the indexes; workers do so once an hour, in a thread that no lease depends on.
"""

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Callable, Collection
from pathlib import Path

from app.jobs.connection import StorageError
from app.jobs.logs import last_lines, log_path
from app.jobs.worker_queue import WorkerQueue

_ROUNDS_A_LEASE = 5  # so a lease outlives three lost beats, and is found expired soon

_log = logging.getLogger(__name__)


class Reconciler:
    """One process's view of the queue; for one thread.

    A lease that ran out while Redis was away says nothing of its worker, which could not renew it.
    So after a gap in this process's own view of Redis, its beginning included, the workers have the
    time of a lease to come back before any is taken for silent.
    """

    def __init__(
        self,
        queue: WorkerQueue,
        jobs_dir: Path,
        lease_seconds: float,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._queue, self._jobs_dir, self._lease_seconds = queue, jobs_dir, lease_seconds
        self.interval = lease_seconds / _ROUNDS_A_LEASE  # seconds between two rounds
        self._clock = clock
        self._seen = self._since = -math.inf  # when Redis last answered, and since when it has without a gap

    def run(self, dead: Collection[str] = ()) -> None:
        """One round. dead: ids of workers that are known to have ended. Raises StorageError."""
        try:
            self._queue.reconcile(
                lambda job: last_lines(log_path(self._jobs_dir, job.id, job.attempt)), dead, believes=self._believes
            )
        except StorageError:
            self._seen = -math.inf
            raise

    def repair_indexes(self) -> None:
        """Makes the indexes what the records imply, if that is due. May take seconds. Raises StorageError."""
        self._queue.repair_indexes()

    def _believes(self) -> bool:
        """Whether a lease that has run out means a silent worker; asked when Redis has just answered."""
        now = self._clock()
        if now - self._seen > self._lease_seconds / 2:
            self._since = now
        self._seen = now
        return now - self._since >= self._lease_seconds


class ReconcilerLoop:
    """A server's. `start` and `stop` it in one event loop."""

    def __init__(self, reconciler: Reconciler) -> None:
        self._reconciler = reconciler
        self._stopping = asyncio.Event()
        self._loop: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._stopping.clear()
        self._loop = asyncio.create_task(self._work())

    async def stop(self) -> None:
        self._stopping.set()
        if self._loop is not None:
            await self._loop

    async def _work(self) -> None:
        while not self._stopping.is_set():
            try:
                await asyncio.to_thread(self._reconciler.repair_indexes)
                await asyncio.to_thread(self._reconciler.run)
            except StorageError as e:
                _log.warning("the queue is not checked: %s", e)
            except Exception:  # one record that breaks it must not end it for the others
                _log.exception("the queue is not checked")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), self._reconciler.interval)
