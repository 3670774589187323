"""The one place that writes job records: every change is a transaction that keeps the indexes true.

Keys, all under `cloze:`: `job:<id>` the record as JSON; `sequence` the number of the last job; `turns` the queue
numbers of jobs that were moved; `change:<token>` that a change was committed; and the indexes of `app.jobs.indexes`.
The channel `news` carries the id of every job that changed.
"""

import secrets
from collections.abc import Callable, Sequence
from typing import NamedTuple

from redis.exceptions import WatchError

from app.errors import Conflict, FileNotFound, JobNotFound
from app.jobs import webhooks
from app.jobs.connection import Client
from app.jobs.events import EventLog, NewEvent
from app.jobs.indexes import (
    CLASS,
    JOBS,
    QUEUE_NUMBERS,
    QUEUES,
    SEQUENCE,
    file_key,
    job_entries,
    job_key,
    owner_jobs_key,
    place_of,
    queue_priority,
    queue_score,
    replace_entries,
)
from app.jobs.kinds import SweepSpec
from app.jobs.spec import FINAL_STATES, Checkpoint, Job, check_action, check_transition
from app.jobs.viewer import EVERYONE, Viewer

NEWS = "cloze:news"
SCAN = 100  # records read at once while a list is filtered
_TOKEN_SECONDS = 600  # far above the time in which a connection is tried again


class Change(NamedTuple):
    """The result of a transaction: the new record and what is written beside it."""

    job: Job
    events: Sequence[NewEvent] = ()
    checkpoint: Checkpoint | None = None
    forgotten: Sequence[int] = ()  # steps of checkpoints that are gone


class Idempotency(NamedTuple):
    key: str  # as the client sent it
    digest: str  # of the request that came with it
    seconds: int  # for which the key is remembered

    @property
    def redis_key(self) -> str:
        return f"cloze:idempotency:{self.key}"


class JobRepository:
    """viewer: whose jobs it finds; those of others do not exist for it, and its limit holds for new ones."""

    def __init__(self, redis: Client, log: EventLog, viewer: Viewer = EVERYONE) -> None:
        self._redis = redis
        self._log = log
        self._viewer = viewer

    def now(self) -> float:
        return _seconds(self._redis.time())

    def read(self, job_id: str) -> Job:
        found = self.read_many([job_id])
        if not found:
            raise JobNotFound(f"no job '{job_id}'")
        return found[0]

    def read_many(self, job_ids: Sequence[str]) -> list[Job]:
        """The records with their places in the queue; without those that are gone."""
        with self._redis.pipeline(transaction=False) as pipe:
            for job_id in job_ids:
                pipe.get(job_key(job_id))
                for queue in QUEUES.values():
                    pipe.zrank(queue, job_id)
            found = iter(pipe.execute())
        rows = zip(*[found] * (1 + len(QUEUES)), strict=True)
        jobs = [
            Job.model_validate_json(raw).model_copy(update={"queue_position": place_of(places)})
            for raw, *places in rows
            if raw is not None
        ]
        return [job for job in jobs if self._viewer.sees(job.owner)]

    def find_created(self, idempotency: Idempotency) -> str | None:
        """The id of the job that the key has made; Conflict if another request did."""
        return _earlier_job(self._redis.get(idempotency.redis_key), idempotency)

    def create(
        self,
        job_id: str,
        decide: Callable[[float], Change],
        idempotency: Idempotency | None = None,
        *,
        reads: Sequence[str] = (),
    ) -> str:
        """Writes the new record that `decide(now)` makes; returns its id, or the one the key has made already.

        reads: the jobs whose records `decide` reads. It runs again if one of them changed meanwhile.
        Raises FileNotFound for a file that is not (or no longer) there, Conflict as `find_created`, and QuotaExceeded.
        """
        with self._redis.pipeline() as pipe:
            while True:
                try:
                    pipe.watch(*map(job_key, (job_id, *reads)), *([idempotency.redis_key] if idempotency else []))
                    if pipe.exists(job_key(job_id)):
                        return job_id  # committed, though the reply to the last try was lost
                    if idempotency and (earlier := _earlier_job(pipe.get(idempotency.redis_key), idempotency)):
                        return earlier
                    now = _seconds(pipe.time())
                    change = decide(now)
                    _check_files(pipe, change.job)
                    self._check_quota(pipe, change.job)
                    sequence = pipe.incr(SEQUENCE)
                    change = change._replace(job=change.job.model_copy(update={"sequence": sequence}))
                    pipe.multi()
                    if idempotency:
                        pipe.set(idempotency.redis_key, f"{job_id} {idempotency.digest}", ex=idempotency.seconds)
                    self._write(pipe, None, change, sequence, sequence, now)
                    pipe.execute()
                    return job_id
                except WatchError:
                    continue

    def change(self, job_id: str, decide: Callable[[Job, float], Change]) -> Job:
        """Applies `decide(record, now)` atomically; it runs again if the record changed meanwhile.

        `decide` refuses by raising. A step that TRANSITIONS lacks raises Conflict. An ended job that is to go on
        raises FileNotFound without its files, and QuotaExceeded beyond the limit of its owner. A change whose commit is
        answered by a broken connection is found by its token, and not made again.
        """
        token = f"cloze:change:{secrets.token_hex(12)}"
        change: Change | None = None
        with self._redis.pipeline() as pipe:
            while True:
                try:
                    pipe.watch(job_key(job_id), QUEUE_NUMBERS)
                    if change is not None and pipe.exists(token):
                        return change.job
                    old, now = self._parse(job_id, pipe.get(job_key(job_id))), _seconds(pipe.time())
                    change = decide(old, now)
                    check_transition(old, change.job.state)
                    if old.state in FINAL_STATES and change.job.state not in FINAL_STATES:
                        _check_files(pipe, change.job)
                        self._check_quota(pipe, change.job)
                    sequence, number = _sequence(pipe, old), _queue_number(pipe, old)
                    pipe.multi()
                    self._write(pipe, old, change, sequence, number, now)
                    pipe.set(token, b"", ex=_TOKEN_SECONDS)
                    pipe.execute()
                    return change.job
                except WatchError:
                    continue

    def move(self, job_id: str, position: int) -> None:
        """Puts a queued job at that place of the queue, with the priority of the job whose place it takes."""
        with self._redis.pipeline() as pipe:
            while True:
                try:
                    pipe.watch(job_key(job_id), *QUEUES.values(), QUEUE_NUMBERS)
                    job, now = self._parse(job_id, pipe.get(job_key(job_id))), _seconds(pipe.time())
                    queue = QUEUES[job.spec.kind]
                    check_action(job, "move")
                    scores = {raw.decode(): score for raw, score in pipe.zrange(queue, 0, -1, withscores=True)}
                    priority, numbers = _moved(scores, job_id, position)
                    moved = job.model_copy(update={"priority": priority})
                    change, sequence = Change(moved, [NewEvent(f"Moved to place {position}")]), _sequence(pipe, job)
                    pipe.multi()
                    self._write(pipe, job, change, sequence, numbers[job_id], now)
                    pipe.hset(QUEUE_NUMBERS, mapping=numbers)
                    pipe.zadd(queue, {i: queue_score(priority, number) for i, number in numbers.items()})
                    pipe.execute()
                    return
                except WatchError:
                    continue

    def delete(self, job_id: str) -> None:
        """Drops an ended job and everything that was written beside it."""
        beside = list(self._redis.scan_iter(match=f"{job_key(job_id)}:*", count=1000))
        with self._redis.pipeline() as pipe:
            while True:
                try:
                    pipe.watch(job_key(job_id))
                    job = self._parse(job_id, pipe.get(job_key(job_id)))
                    check_action(job, "delete")
                    pipe.multi()
                    pipe.delete(job_key(job_id), *beside)
                    replace_entries(pipe, job_id, job_entries(job, 0, 0), {})
                    pipe.hdel(QUEUE_NUMBERS, job_id)
                    pipe.execute()
                    return
                except WatchError:
                    continue

    def _parse(self, job_id: str, raw: bytes | None) -> Job:
        """Raises JobNotFound, also for jobs that the viewer does not see."""
        job = None if raw is None else Job.model_validate_json(raw)
        if job is None or not self._viewer.sees(job.owner):
            raise JobNotFound(f"no job '{job_id}'")
        return job

    def _check_quota(self, pipe: Client, job: Job) -> None:
        """Watches the unfinished jobs of the owner, so that requests at once do not pass the limit together."""
        if job.owner is None or job.owner != self._viewer.owner or not self._viewer.max_jobs:
            return
        key = owner_jobs_key(job.owner)
        pipe.watch(key)
        children = len(job.spec.children) if isinstance(job.spec, SweepSpec) else 0
        self._viewer.check_jobs(pipe.scard(key), 1 + children)

    def _write(self, pipe: Client, old: Job | None, change: Change, sequence: int, number: int, now: float) -> None:
        job = change.job
        if job is not old:
            pipe.set(job_key(job.id), job.model_dump_json())
            before = job_entries(old, sequence, number) if old is not None else {}
            replace_entries(pipe, job.id, before, job_entries(job, sequence, number))
        if old is None or old.state != job.state:
            webhooks.enqueue(pipe, job, now)
        if change.checkpoint is not None:
            self._log.add_checkpoint(pipe, job.id, change.checkpoint)
        self._log.remove_checkpoints(pipe, job.id, change.forgotten)
        for event in change.events:
            self._log.append(pipe, job.id, event, now)
        pipe.publish(NEWS, job.id)


def _sequence(pipe: Client, job: Job) -> int:
    """The job's number by age; records made before they held it have it in the index alone."""
    return job.sequence or int(pipe.zscore(JOBS, job.id) or 0)


def _queue_number(pipe: Client, job: Job) -> int:
    """The number that orders the job among those of its priority: by age, or as it was moved. Claims keep it."""
    moved = pipe.hget(QUEUE_NUMBERS, job.id)
    return _sequence(pipe, job) if moved is None else int(moved)


def _moved(scores: dict[str, float], job_id: str, position: int) -> tuple[int, dict[str, int]]:
    """Returns the priority at that place of the queue, and the queue numbers of its jobs once the job is there."""
    order = list(scores)
    position = min(position, len(order) - 1)
    priority = queue_priority(scores[order[position]])
    order.remove(job_id)
    order.insert(position, job_id)
    peers = [i for i in order if i == job_id or queue_priority(scores[i]) == priority]
    return priority, dict(zip(peers, sorted(int(scores[i] % CLASS) for i in peers), strict=True))


def _check_files(pipe: Client, job: Job) -> None:
    """Watches the files, so that none is deleted before the transaction."""
    if keys := [file_key(file_id) for _, file_id in job.spec.files]:
        pipe.watch(*keys)
    for field, file_id in job.spec.files:
        if not pipe.exists(file_key(file_id)):
            raise FileNotFound(f"no file '{file_id}'", param=field)


def _earlier_job(stored: bytes | None, idempotency: Idempotency) -> str | None:
    if stored is None:
        return None
    job_id, digest = stored.decode().split(" ")
    if digest != idempotency.digest:
        raise Conflict(f"this Idempotency-Key was used with another body, for job '{job_id}'")
    return job_id


def _seconds(time: tuple[int, int]) -> float:
    return time[0] + time[1] / 1e6
