"""Jobs as they happen, for any number of listeners of one event loop.

One connection receives the ids of jobs that have changed. Each listener then reads what is stored from its own
position on, so a message that was lost only causes a delay.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any, TypeAlias

from app.errors import JobNotFound
from app.jobs.connection import StorageError, connect_async
from app.jobs.events import entry_id, events_key, to_event
from app.jobs.indexes import QUEUES, job_key, place_of
from app.jobs.repository import NEWS
from app.jobs.spec import FINAL_STATES, Job, JobEvent

_BATCH = 200  # events read at once
_GATHER = 0.05  # seconds; news that come close together are read together
_PAUSE = 0.5  # seconds before Redis is tried again
_HEARING = 10.0  # seconds of one wait for news
_INSISTENCE = 0.05  # seconds before a task is cancelled once more

# An event, the job as it is now, or None: nothing has happened for a while.
News: TypeAlias = JobEvent | Job | None

_log = logging.getLogger(__name__)


class EventFeed:
    """`start` and `stop` it in the event loop that uses it."""

    def __init__(self, url: str) -> None:
        self._redis = connect_async(url)
        self._bells: dict[str, set[asyncio.Event]] = {}
        self._hearing: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self.ending = False

    async def start(self) -> None:
        self.ending = False
        self._loop = asyncio.get_running_loop()
        self._hearing = asyncio.create_task(self._hear())

    async def stop(self) -> None:
        self.end()
        # Before Python 3.12 `asyncio.wait_for`, by which redis sends, may swallow a cancellation (cpython#86296).
        while self._hearing is not None and not self._hearing.done():
            self._hearing.cancel()
            await asyncio.wait([self._hearing], timeout=_INSISTENCE)
        await self._redis.aclose()

    def end(self) -> None:
        """Ends what is being followed, so that a server can stop; from any thread, while the loop runs."""
        self.ending = True
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._ring)

    @property
    def listeners(self) -> int:
        return sum(map(len, self._bells.values()))

    async def follow(self, job_id: str, after: str | None = None, *, heartbeat: float = 15.0) -> AsyncIterator[News]:
        """The events beyond `after`, in order and each once, and the job whenever it has changed.

        Ends after a job that is in a final state, when all of its events have been given. Gives None
        after every `heartbeat` seconds of silence. While Redis is away it waits.
        Raises JobNotFound, and InvalidValue if `after` is not an event of the job.
        """
        cursor = entry_id(job_id, after) if after else "0-0"
        bell = asyncio.Event()
        self._bells.setdefault(job_id, set()).add(bell)
        shown: Job | None = None
        try:
            while not self.ending:
                bell.clear()
                try:
                    job, events = await self._read(job_id, cursor)
                except StorageError as e:
                    _log.warning("Redis does not answer: %s", e)
                    yield None
                    await asyncio.sleep(_PAUSE)
                    continue
                for event in events:
                    yield event
                    cursor = entry_id(job_id, event.id)
                if len(events) == _BATCH:
                    continue
                if job != shown or job.state in FINAL_STATES:
                    shown = job
                    yield job
                if job.state in FINAL_STATES:
                    return
                if not await _rings(bell, heartbeat):
                    yield None
                await asyncio.sleep(_GATHER)
        finally:
            self._bells[job_id].discard(bell)
            if not self._bells[job_id]:
                del self._bells[job_id]

    async def _read(self, job_id: str, cursor: str) -> tuple[Job, list[JobEvent]]:
        """The job without its lease, which changes at every beat, and its next events, of one moment."""
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.get(job_key(job_id))
            for queue in QUEUES.values():
                pipe.zrank(queue, job_id)
            pipe.xrange(events_key(job_id), min=f"({cursor}", count=_BATCH)
            raw, *places, entries = await pipe.execute()
        if raw is None:
            raise JobNotFound(f"no job '{job_id}'")
        job = Job.model_validate_json(raw).model_copy(update={"queue_position": place_of(places), "lease_until": None})
        return job, [to_event(job_id, *entry) for entry in entries]

    async def _hear(self) -> None:
        while True:
            try:
                async with self._redis.pubsub(ignore_subscribe_messages=True) as channel:
                    await channel.subscribe(NEWS)
                    self._ring()  # for what went unheard before
                    while True:
                        message: dict[str, Any] | None = await channel.get_message(timeout=_HEARING)
                        if message is not None:
                            self._ring(message["data"].decode())
            except StorageError as e:
                _log.warning("changes of jobs cannot be read: %s", e)
                await asyncio.sleep(_PAUSE)

    def _ring(self, job_id: str | None = None) -> None:
        """Wakes the listeners of a job, or all."""
        groups = self._bells.values() if job_id is None else [self._bells.get(job_id, set())]
        for bells in groups:
            for bell in bells:
                bell.set()


async def _rings(bell: asyncio.Event, seconds: float) -> bool:
    try:
        await asyncio.wait_for(bell.wait(), seconds)
    except TimeoutError:
        return False
    return True
