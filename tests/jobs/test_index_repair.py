"""Every index is damaged in turn, and is afterwards what it was."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.errors import Conflict, FileNotFound
from app.jobs import index_repair
from app.jobs.connection import Client
from app.jobs.files import FileStore
from app.jobs.index_repair import repair, repair_if_due
from app.jobs.indexes import QUEUE_NUMBERS, SEQUENCE, file_jobs_key, job_key, state_key
from app.jobs.kinds import JobState, Webhook
from app.jobs.reconciler import Reconciler
from app.jobs.webhooks import OUTBOX
from app.jobs.worker_queue import Claim, LeaseLost
from tests.fakes.jobs import QUEUE, Indexes, JobSystem, make_spec

Damage = Callable[[Client], Any]


@pytest.fixture
def jobs(redis: Client) -> JobSystem:
    return JobSystem(redis)


@pytest.fixture
def world(redis: Client, jobs: JobSystem, tmp_path: Path) -> dict[str, Any]:
    """JobSystem in every kind of state, and a file; returns the indexes."""
    with FileStore(redis, tmp_path).upload("a.txt", "fine-tune", 100) as upload:
        upload.write(b"text")
        file = upload.finish()
    hook = Webhook(url="http://example.org", secret="whsec_x")
    spec = make_spec(redis, model="base@3", training_files=(file.id,), deadline=4e9, webhook=hook)
    running, done, *queued = [jobs.create(spec, priority=n % 2).id for n in range(6)]
    jobs.prioritise(running, 9)
    jobs.prioritise(done, 8)
    for _ in range(2):
        claim = jobs.queue.claim("w1", 1000.0)
        assert claim
    jobs.queue.succeed(claim, "tiny@1")
    jobs.move(queued[3], 0)
    jobs.pause(queued[1])
    jobs.cancel(queued[2])
    assert repair(redis) == 0
    return Indexes(redis).read()


def some_job(redis: Client) -> str:
    return Indexes(redis).job_ids()[0]


DAMAGES: dict[str, Damage] = {
    **{f"without {key}": lambda redis, key=key: redis.delete(key) for key in Indexes.SORTED},
    **{
        f"a stranger in {key}": lambda redis, key=key: redis.zadd(key, {"ftjob-" + "0" * 24: 5, "x y": 6})
        for key in Indexes.SORTED
    },
    **{
        f"wrong scores in {key}": lambda redis, key=key: [
            redis.zincrby(key, 5 * 2**40, m) for m in redis.zrange(key, 0, -1)
        ]
        for key in Indexes.SORTED
        if key != OUTBOX
    },
    "counted in another state": lambda redis: redis.smove(
        state_key(JobState.RUNNING), state_key(JobState.QUEUED), some_job(redis)
    ),
    "counted in two states": lambda redis: redis.sadd(state_key(JobState.FAILED), some_job(redis)),
    "counted in no state": lambda redis: redis.delete(*Indexes.STATES),
    "files without users": lambda redis: redis.delete(*Indexes(redis).users_of_files()),
    "models without users": lambda redis: redis.delete(*Indexes(redis).users_of_models()),
    "users of another file": lambda redis: redis.sadd(file_jobs_key("file-other"), some_job(redis), "ftjob-gone"),
    "a queue number of a job that is gone": lambda redis: redis.hset(QUEUE_NUMBERS, "ftjob-" + "1" * 24, 4),
    "a number that was given already": lambda redis: redis.set(SEQUENCE, 1),
    "no number": lambda redis: redis.delete(SEQUENCE),
    "nothing but the records": lambda redis: redis.delete(
        *Indexes.SORTED, *Indexes.STATES, *Indexes(redis).users_of_files(), *Indexes(redis).users_of_models()
    ),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_what_is_derived_from_records_is_rebuilt_from_them(
    redis: Client, jobs: JobSystem, world: dict[str, Any], tmp_path: Path, name: str
) -> None:
    DAMAGES[name](redis)
    assert Indexes(redis).read() != world
    Reconciler(jobs.queue, tmp_path, 10.0).repair_indexes()
    assert Indexes(redis).read() == world
    assert repair(redis) == 0


def test_records_that_redis_has_lost_leave_nothing(redis: Client, jobs: JobSystem, world: dict[str, Any]) -> None:
    Indexes(redis).lose_records()
    assert repair(redis) > 0
    found = Indexes(redis).read()
    assert not any(value for key, value in found.items() if key != SEQUENCE)
    assert not any(jobs.count_by_state().values())


def test_a_job_of_an_older_version_keeps_its_place(redis: Client, jobs: JobSystem, world: dict[str, Any]) -> None:
    Indexes(redis).edit_records(lambda raw: raw.replace(b'"sequence":', b'"former":'))
    redis.delete(QUEUE, *Indexes.STATES)
    repair(redis)
    assert Indexes(redis).read() == world


def test_a_record_that_cannot_be_read_is_left_alone(
    redis: Client, world: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    job_id = some_job(redis)
    redis.set(job_key(job_id), "{}")
    assert repair(redis) == 0
    assert Indexes(redis).read() == world
    assert f"the record of job {job_id} cannot be read" in caplog.text


def test_one_process_repairs_after_each_start_of_redis(
    redis: Client, jobs: JobSystem, world: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    repair_if_due(redis)
    redis.delete(QUEUE)
    repair_if_due(redis)
    assert Indexes(redis).read() != world
    monkeypatch.setattr(redis, "info", lambda section: {"run_id": "another"})

    def fails(client: Client) -> int:
        raise ConnectionError("on the way")

    with monkeypatch.context() as patch:
        patch.setattr(index_repair, "repair", fails)
        with pytest.raises(ConnectionError):
            repair_if_due(redis)
    repair_if_due(redis)
    assert Indexes(redis).read() == world


def test_a_change_between_reading_and_writing_is_not_undone(
    redis: Client, jobs: JobSystem, world: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    redis.delete(QUEUE)
    waiting = [job.id for job in jobs.list(limit=10)[0] if job.state is JobState.QUEUED]
    replace = index_repair.replace_entries
    cancelled: list[str] = []

    def cancel_first(pipe: Client, member: str, before: Any, after: Any) -> None:
        if member == waiting[0] and not cancelled:
            cancelled.append(jobs.cancel(member).id)
        replace(pipe, member, before, after)

    monkeypatch.setattr(index_repair, "replace_entries", cancel_first)
    repair(redis)
    assert cancelled == waiting[:1]
    assert jobs.get(waiting[0]).state is JobState.CANCELLED
    assert waiting[0].encode() not in redis.zrange(QUEUE, 0, -1)
    assert repair(redis) == 0


def test_repairs_and_transitions_beside_each_other(redis: Client, jobs: JobSystem) -> None:
    over = threading.Event()

    def work(worker: str) -> None:
        for number in range(12):
            job = jobs.create(make_spec(redis, model="base@3"), priority=number % 3)
            claim: Claim | None = jobs.queue.claim(worker, 1000.0)
            if claim and number % 3 == 0:
                jobs.queue.requeue(claim, "again", crashed=False)
            elif claim and number % 3 == 1:
                jobs.queue.succeed(claim, "tiny@1")
            try:
                jobs.cancel(job.id)
                jobs.delete(job.id)
            except (Conflict, FileNotFound, LeaseLost):
                continue  # the other worker has it

    def repair_until_over() -> None:
        while not over.is_set():
            repair(redis)

    repairing = threading.Thread(target=repair_until_over)
    workers = [threading.Thread(target=work, args=(f"w{n}",)) for n in range(2)]
    for thread in (repairing, *workers):
        thread.start()
    for thread in workers:
        thread.join()
    over.set()
    repairing.join()
    assert repair(redis) == 0
    assert sum(jobs.count_by_state().values()) == len(jobs.list(limit=100)[0])
