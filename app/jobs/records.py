"""The one place that writes job records: every change is a transaction that keeps the indexes true.

Keys, all under `cloze:`: `job:<id>` the record as JSON; `jobs` every id by age; `queue` the waiting
by priority and turn; `turns` those that were moved; `leases` the claimed by expiry; `deadlines` the
unfinished by theirs; `finished` the ended by when; `states` how many are in each state;
`file:<id>:jobs` and `model:<id>:jobs` the unfinished jobs that need it; `change:<token>` that a change was committed.
The channel `news` carries the id of every job that changed.
"""

import re
import secrets
from collections.abc import Callable, Sequence
from typing import NamedTuple

from redis.exceptions import WatchError

from app.errors import Conflict, FileNotFound, JobNotFound
from app.jobs import webhooks
from app.jobs.connection import Client
from app.jobs.events import EventLog, NewEvent
from app.jobs.spec import FINAL_STATES, Checkpoint, Job, check_action, check_transition
from app.recipes import METHODS, preset

JOBS, QUEUE, LEASES, STATES, SEQUENCE = "cloze:jobs", "cloze:queue", "cloze:leases", "cloze:states", "cloze:sequence"
TURNS, DEADLINES, FINISHED, NEWS = "cloze:turns", "cloze:deadlines", "cloze:finished", "cloze:news"
_TOKEN_SECONDS = 600  # far above the time in which a connection is tried again
# Scores in the queue are turn − priority · _CLASS, exact in a double for every turn below it.
_CLASS = 2**40
_JOB_ID, _FILE_ID = re.compile("ftjob-[a-z0-9]+"), re.compile("file-[a-z0-9]+")  # others could make another key


class Change(NamedTuple):
    """What a transaction makes of a record, and what it writes beside it."""

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


class Records:
    def __init__(self, redis: Client, log: EventLog) -> None:
        self._redis = redis
        self._log = log

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
                pipe.zrank(QUEUE, job_id)
            found = pipe.execute()
        return [
            Job.model_validate_json(raw).model_copy(update={"queue_position": place})
            for raw, place in zip(found[::2], found[1::2], strict=True)
            if raw is not None
        ]

    def created_under(self, idempotency: Idempotency) -> str | None:
        """The id of the job that the key has made; Conflict if another request did."""
        return _earlier_job(self._redis.get(idempotency.redis_key), idempotency)

    def create(self, job_id: str, decide: Callable[[float], Change], idempotency: Idempotency | None) -> str:
        """Writes the new record that `decide(now)` makes; returns its id, or the one the key has made already.

        Raises FileNotFound for a file that is not (or no longer) there, and Conflict as `created_under`.
        """
        with self._redis.pipeline() as pipe:
            while True:
                try:
                    pipe.watch(job_key(job_id), *([idempotency.redis_key] if idempotency else []))
                    if pipe.exists(job_key(job_id)):
                        return job_id  # committed, though the reply to the last try was lost
                    if idempotency and (earlier := _earlier_job(pipe.get(idempotency.redis_key), idempotency)):
                        return earlier
                    now = _seconds(pipe.time())
                    change = decide(now)
                    _check_files(pipe, change.job)
                    sequence = pipe.incr(SEQUENCE)
                    pipe.multi()
                    pipe.zadd(JOBS, {job_id: sequence})
                    if idempotency:
                        pipe.set(idempotency.redis_key, f"{job_id} {idempotency.digest}", ex=idempotency.seconds)
                    self._write(pipe, None, change, sequence, now)
                    pipe.execute()
                    return job_id
                except WatchError:
                    continue

    def change(self, job_id: str, decide: Callable[[Job, float], Change]) -> Job:
        """Applies `decide(record, now)` atomically; it runs again if the record changed meanwhile.

        `decide` refuses by raising. A step that TRANSITIONS lacks raises Conflict, and an ended job
        that is to go on without its files FileNotFound. A change whose commit is answered by a
        broken connection is found by its token, and not made again.
        """
        token = f"cloze:change:{secrets.token_hex(12)}"
        change: Change | None = None
        with self._redis.pipeline() as pipe:
            while True:
                try:
                    pipe.watch(job_key(job_id), TURNS)
                    if change is not None and pipe.exists(token):
                        return change.job
                    old, now = _parse(job_id, pipe.get(job_key(job_id))), _seconds(pipe.time())
                    change = decide(old, now)
                    check_transition(old, change.job.state)
                    if old.state in FINAL_STATES and change.job.state not in FINAL_STATES:
                        _check_files(pipe, change.job)
                    turn = _turn(pipe, job_id)
                    pipe.multi()
                    self._write(pipe, old, change, turn, now)
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
                    pipe.watch(job_key(job_id), QUEUE, TURNS)
                    job, now = _parse(job_id, pipe.get(job_key(job_id))), _seconds(pipe.time())
                    check_action(job, "move")
                    scores = {raw.decode(): score for raw, score in pipe.zrange(QUEUE, 0, -1, withscores=True)}
                    priority, turns = _moved(scores, job_id, position)
                    moved = job.model_copy(update={"priority": priority})
                    pipe.multi()
                    self._write(pipe, job, Change(moved, [NewEvent(f"Moved to place {position}")]), turns[job_id], now)
                    pipe.hset(TURNS, mapping=turns)
                    pipe.zadd(QUEUE, {i: _score(priority, turn) for i, turn in turns.items()})
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
                    job = _parse(job_id, pipe.get(job_key(job_id)))
                    check_action(job, "delete")
                    pipe.multi()
                    pipe.delete(job_key(job_id), *beside)
                    for index in (JOBS, FINISHED):
                        pipe.zrem(index, job_id)
                    pipe.hdel(TURNS, job_id)
                    pipe.hincrby(STATES, job.state, -1)
                    pipe.execute()
                    return
                except WatchError:
                    continue

    def _write(self, pipe: Client, old: Job | None, change: Change, turn: int, now: float) -> None:
        job = change.job
        if job is not old:
            pipe.set(job_key(job.id), job.model_dump_json())
            _index(pipe, LEASES, job.id, job.lease_until)
            _index(pipe, DEADLINES, job.id, None if job.state in FINAL_STATES else job.deadline)
            _index(pipe, FINISHED, job.id, job.finished_at)
            _index(pipe, QUEUE, job.id, _score(job.priority, turn) if job.waits else None)
        if old is None or old.state != job.state:
            _count(pipe, old, job)
            webhooks.enqueue(pipe, job, now)
        if change.checkpoint is not None:
            self._log.add_checkpoint(pipe, job.id, change.checkpoint)
        self._log.remove_checkpoints(pipe, job.id, change.forgotten)
        for event in change.events:
            self._log.append(pipe, job.id, event, now)
        pipe.publish(NEWS, job.id)


def job_key(job_id: str) -> str:
    """Raises JobNotFound for what is no id."""
    if not _JOB_ID.fullmatch(job_id):
        raise JobNotFound(f"no job '{job_id}'")
    return f"cloze:job:{job_id}"


def file_key(file_id: str) -> str:
    """Raises FileNotFound for what is no id."""
    if not _FILE_ID.fullmatch(file_id):
        raise FileNotFound(f"no file '{file_id}'")
    return f"cloze:file:{file_id}"


def file_jobs_key(file_id: str) -> str:
    return f"cloze:file:{file_id}:jobs"


def files_of(job: Job) -> list[str]:
    return [*job.spec.training_files, *([job.spec.validation_file] if job.spec.validation_file else [])]


def model_jobs_key(model_id: str) -> str:
    return f"cloze:model:{model_id}:jobs"


def models_of(job: Job) -> list[str]:
    """The stored models that it needs, as name@version: its base, its teacher, that of its tokenizer."""
    spec = job.spec
    named = [spec.hyperparameters.get(field) for field in METHODS[spec.method].hyperparameters.MODEL_FIELDS]
    base = spec.model if preset(spec.model) is None else None
    return list(dict.fromkeys(filter(None, [base, *named])))


def _index(pipe: Client, name: str, job_id: str, score: float | None) -> None:
    if score is None:
        pipe.zrem(name, job_id)
    else:
        pipe.zadd(name, {job_id: score})


def _count(pipe: Client, old: Job | None, job: Job) -> None:
    """How many jobs are in each state, and which hold a file or a model."""
    if old is not None:
        pipe.hincrby(STATES, old.state, -1)
    pipe.hincrby(STATES, job.state, 1)
    for key in (*map(file_jobs_key, files_of(job)), *map(model_jobs_key, models_of(job))):
        if job.state in FINAL_STATES:
            pipe.srem(key, job.id)
        else:
            pipe.sadd(key, job.id)


def _turn(pipe: Client, job_id: str) -> int:
    """By age, so that a job handed back keeps its turn; unless it was moved."""
    moved = pipe.hget(TURNS, job_id)
    return int(moved if moved is not None else pipe.zscore(JOBS, job_id))


def _moved(scores: dict[str, float], job_id: str, position: int) -> tuple[int, dict[str, int]]:
    """The priority at that place of the queue, and the turns within it once the job stands there."""
    order = list(scores)
    position = min(position, len(order) - 1)
    priority = _priority(scores[order[position]])
    order.remove(job_id)
    order.insert(position, job_id)
    peers = [i for i in order if i == job_id or _priority(scores[i]) == priority]
    return priority, dict(zip(peers, sorted(int(scores[i] % _CLASS) for i in peers), strict=True))


def _score(priority: int, turn: int) -> int:
    return turn - priority * _CLASS


def _priority(score: float) -> int:
    return -int(score // _CLASS)


def _check_files(pipe: Client, job: Job) -> None:
    """Watches the files, so that none is deleted before the transaction."""
    pipe.watch(*map(file_key, files_of(job)))
    for file_id in files_of(job):
        if not pipe.exists(file_key(file_id)):
            is_training = file_id in job.spec.training_files
            raise FileNotFound(f"no file '{file_id}'", param="training_file" if is_training else "validation_file")


def _earlier_job(stored: bytes | None, idempotency: Idempotency) -> str | None:
    if stored is None:
        return None
    job_id, digest = stored.decode().split(" ")
    if digest != idempotency.digest:
        raise Conflict(f"this Idempotency-Key was used with another body, for job '{job_id}'")
    return job_id


def _parse(job_id: str, raw: bytes | None) -> Job:
    if raw is None:
        raise JobNotFound(f"no job '{job_id}'")
    return Job.model_validate_json(raw)


def _seconds(time: tuple[int, int]) -> float:
    return time[0] + time[1] / 1e6
