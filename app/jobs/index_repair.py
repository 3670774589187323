"""Makes the indexes what the records imply, where they differ.

They can differ when Redis has lost its last writes, a part of a transaction among them. Each repair is a
transaction of its own, and begins anew when the record changes meanwhile.
"""

import contextlib
import itertools
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable

from pydantic import ValidationError
from redis.exceptions import ResponseError, WatchError

from app.jobs.connection import Client, StorageError
from app.jobs.indexes import (
    DEADLINES,
    FILES,
    FINISHED,
    JOBS,
    LEASES,
    QUEUE_NUMBERS,
    QUEUES,
    SEQUENCE,
    Entries,
    file_entries,
    job_entries,
    replace_entries,
)
from app.jobs.spec import Job, StoredFile
from app.jobs.webhooks import OUTBOX, Delivery, deliveries_key

_SECONDS = 3600  # between two comparisons while Redis runs on
_BATCH = 100  # records read at once
_ID = "?" * 24  # of a job or a file, in a pattern of Redis: so no longer keys match
_SORTED = (JOBS, *QUEUES.values(), LEASES, DEADLINES, FINISHED)
_SETS = ("cloze:state:*", "cloze:file:*:jobs", "cloze:model:*:jobs", "cloze:owner:*:jobs")

_log = logging.getLogger(__name__)


def repair_if_due(redis: Client) -> None:
    """Repairs the indexes after each start of Redis, and once an hour; one process of all does it."""
    run = ""
    with contextlib.suppress(ResponseError):  # some services do not let clients ask
        run = redis.info("server").get("run_id", "")
    claim = f"cloze:turn:indexes:{run}"
    if not redis.set(claim, b"", nx=True, ex=_SECONDS):
        return
    try:
        repaired = repair(redis)
    except BaseException:
        with contextlib.suppress(StorageError):
            redis.delete(claim)
        raise
    if repaired:
        _log.warning("the indexes differed from %d records and are repaired", repaired)


def repair(redis: Client) -> int:
    """Compares every index with the records. Returns for how many records entries were wrong."""
    found = _read_indexes(redis)
    ids = _ids(redis, "cloze:job:ftjob-") | found.keys() | {raw.decode() for raw in redis.hkeys(QUEUE_NUMBERS)}
    repaired = sum(_repair_job(redis, job_id, found[job_id]) for job_id in _suspects(redis, ids, found))
    return repaired + _repair_files(redis) + _repair_sequence(redis) + _repair_outbox(redis)


def _read_indexes(redis: Client) -> dict[str, dict[str, float | None]]:
    """Job id → its entries."""
    found: dict[str, dict[str, float | None]] = defaultdict(dict)
    for key in _SORTED:
        for raw, score in redis.zrange(key, 0, -1, withscores=True):
            found[raw.decode()][key] = score
    for pattern in _SETS:
        for raw_key in redis.scan_iter(match=pattern, count=1000):
            for raw in redis.smembers(raw_key):
                found[raw.decode()][raw_key.decode()] = None
    return found


def _ids(redis: Client, prefix: str) -> set[str]:
    """The ids of all records whose keys begin so."""
    return {raw.decode().rpartition(":")[2] for raw in redis.scan_iter(match=prefix + _ID, count=1000)}


def _suspects(redis: Client, ids: Iterable[str], found: dict[str, dict[str, float | None]]) -> list[str]:
    """Jobs whose entries looked wrong when they were read, one after another and without a transaction."""
    suspects = []
    waiting = iter(sorted(ids))
    while batch := list(itertools.islice(waiting, _BATCH)):
        raws, numbers = redis.mget([f"cloze:job:{job_id}" for job_id in batch]), redis.hmget(QUEUE_NUMBERS, batch)
        for job_id, raw, number in zip(batch, raws, numbers, strict=True):
            expected = _entries(job_id, raw, number, found[job_id].get(JOBS))
            if expected is not None and (expected != found[job_id] or (raw is None and number is not None)):
                suspects.append(job_id)
    return suspects


def _entries(job_id: str, raw: bytes | None, number: bytes | None, position: float | None) -> Entries | None:
    """Returns the index entries that a record implies; None if it cannot be read.

    position: its score in JOBS, which counts for records that do not hold their number.
    """
    if raw is None:
        return {}
    try:
        job = Job.model_validate_json(raw)
    except ValidationError as error:
        _log.error("the record of job %s cannot be read, so its index entries are left alone: %s", job_id, error)
        return None
    sequence = job.sequence or int(position or 0)
    return job_entries(job, sequence, sequence if number is None else int(number))


def _repair_job(redis: Client, job_id: str, found: Entries) -> bool:
    """Returns whether the job's entries were wrong, read in one transaction with its record."""

    def write(pipe: Client) -> bool:
        raw, number, position = (
            pipe.get(f"cloze:job:{job_id}"),
            pipe.hget(QUEUE_NUMBERS, job_id),
            pipe.zscore(JOBS, job_id),
        )
        expected = _entries(job_id, raw, number, position)
        if expected is None:
            return False
        actual = _read_entries(pipe, job_id, found.keys() | expected.keys())
        if actual == expected and (raw is not None or number is None):
            return False
        pipe.multi()
        replace_entries(pipe, job_id, actual, expected)
        if raw is None:
            pipe.hdel(QUEUE_NUMBERS, job_id)
        return True

    return _transaction(redis, (f"cloze:job:{job_id}", QUEUE_NUMBERS), write)


def _read_entries(pipe: Client, member: str, keys: Iterable[str]) -> Entries:
    """Which of these indexes hold the member, with its scores."""
    scores = {key: pipe.zscore(key, member) for key in keys if key in _SORTED}
    sets = [key for key in keys if key not in _SORTED and pipe.sismember(key, member)]
    return {key: score for key, score in scores.items() if score is not None} | dict.fromkeys(sets)


def _repair_files(redis: Client) -> int:
    found = {raw.decode(): score for raw, score in redis.zrange(FILES, 0, -1, withscores=True)}

    def repair_file(file_id: str) -> bool:
        def write(pipe: Client) -> bool:
            raw, score = pipe.get(f"cloze:file:{file_id}"), pipe.zscore(FILES, file_id)
            expected = {} if raw is None else file_entries(StoredFile.model_validate_json(raw))
            actual: Entries = {} if score is None else {FILES: score}
            if actual == expected:
                return False
            pipe.multi()
            replace_entries(pipe, file_id, actual, expected)
            return True

        return _transaction(redis, (f"cloze:file:{file_id}",), write)

    return sum(map(repair_file, sorted(_ids(redis, "cloze:file:file-") | found.keys())))


def _repair_sequence(redis: Client) -> bool:
    """The next job's number is above all that there are."""

    def write(pipe: Client) -> bool:
        newest = pipe.zrange(JOBS, -1, -1, withscores=True)
        if not newest or int(pipe.get(SEQUENCE) or 0) >= newest[0][1]:
            return False
        pipe.multi()
        pipe.set(SEQUENCE, int(newest[0][1]))
        return True

    return _transaction(redis, (SEQUENCE, JOBS), write)


def _repair_outbox(redis: Client) -> int:
    """The outbox holds the pending deliveries of every job. Its scores change with each attempt, and stay."""
    members = {raw.decode() for raw in redis.zrange(OUTBOX, 0, -1)}
    for raw_key in redis.scan_iter(match=f"cloze:job:ftjob-{_ID}:webhooks", count=1000):
        job_id = raw_key.decode().split(":")[2]
        members |= {f"{job_id} {raw.decode()}" for raw in redis.hkeys(raw_key)}

    def repair_delivery(member: str) -> bool:
        job_id, _, identifier = member.partition(" ")

        def write(pipe: Client) -> bool:
            raw, score = pipe.hget(deliveries_key(job_id), identifier), pipe.zscore(OUTBOX, member)
            due = None if raw is None else Delivery.model_validate_json(raw).next_attempt_at
            if (score is None) == (due is None):
                return False
            pipe.multi()
            pipe.zrem(OUTBOX, member) if due is None else pipe.zadd(OUTBOX, {member: due}, nx=True)
            return True

        return _transaction(redis, (deliveries_key(job_id),), write)

    return sum(map(repair_delivery, sorted(members)))


def _transaction(redis: Client, watched: tuple[str, ...], write: Callable[[Client], bool]) -> bool:
    """Runs `write`, again if what is watched has changed meanwhile, and commits unless it returns False."""
    with redis.pipeline() as pipe:
        while True:
            try:
                pipe.watch(*watched)
                if not write(pipe):
                    return False
                pipe.execute()
                return True
            except WatchError:
                continue
