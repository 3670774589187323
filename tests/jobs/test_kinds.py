"""Kinds of jobs: records of before, queues of their own, lists, and actions that a kind does not support."""

import pytest

from app.errors import Conflict
from app.jobs.connection import Client
from app.jobs.indexes import QUEUES
from app.jobs.kinds import ImportSpec, JobState, PretrainingSpec
from app.jobs.spec import Job, check_action
from tests.fakes.jobs import JobSystem, make_spec
from tests.fakes.redis import redis, redis_server

__all__ = ["redis", "redis_server"]


@pytest.fixture
def jobs(redis: Client) -> JobSystem:
    return JobSystem(redis)


def importing(name: str = "m", **changes: object) -> ImportSpec:
    return ImportSpec.model_validate({"name": name, "hub_id": "org/m", **changes})


def test_a_record_without_a_kind_is_pretraining(redis: Client, jobs: JobSystem) -> None:
    record = jobs.create(make_spec(redis)).model_dump(mode="json")
    del record["spec"]["kind"]
    assert isinstance(Job.model_validate(record).spec, PretrainingSpec)


def test_each_kind_waits_in_its_own_queue(redis: Client, jobs: JobSystem) -> None:
    trained, later = jobs.create(make_spec(redis)), jobs.create(make_spec(redis))
    imported = jobs.create(importing())
    assert [jobs.get(job.id).queue_position for job in (trained, later, imported)] == [0, 1, 0]
    claim = jobs.queue.claim("w", 60, kind="import")
    assert claim is not None
    assert claim.job_id == imported.id
    assert jobs.queue.claim("w", 60, kind="import") is None
    assert (claim := jobs.queue.claim("w", 60)) is not None
    assert claim.job_id == trained.id


def test_an_import_is_moved_within_its_own_queue(redis: Client, jobs: JobSystem) -> None:
    jobs.create(make_spec(redis))
    first, second = jobs.create(importing("a")), jobs.create(importing("b"))
    jobs.move(second.id, 0)
    assert [jobs.get(job.id).queue_position for job in (first, second)] == [1, 0]


def test_the_indexes_of_imports_are_repaired(redis: Client, jobs: JobSystem) -> None:
    job = jobs.create(importing())
    assert redis.zrem(QUEUES["import"], job.id)
    jobs.queue.repair_indexes()
    assert jobs.get(job.id).queue_position == 0


def test_lists_are_of_one_kind_or_of_all(redis: Client, jobs: JobSystem) -> None:
    made = [jobs.create(spec).id for spec in (make_spec(redis), importing(), make_spec(redis), importing())]

    def ids(**wanted: object) -> list[str]:
        return [job.id for job in jobs.list(**wanted)[0]]  # type: ignore[arg-type]

    assert ids() == made[::-1]
    assert ids(kind="pretraining") == [made[2], made[0]]
    assert ids(kind="import") == [made[3], made[1]]
    assert jobs.list(kind="import", limit=1) == ([jobs.get(made[3])], True)
    assert ids(kind="import", after=made[3]) == [made[1]]


def test_an_import_cannot_be_paused_extended_or_published(jobs: JobSystem) -> None:
    job = jobs.create(importing())
    for act in (lambda: jobs.pause(job.id), lambda: jobs.cancel(job.id, publish=True)):
        with pytest.raises(Conflict, match="of the kind 'import'"):
            act()
    with pytest.raises(Conflict, match="of the kind 'import'"):
        check_action(job, "extend")
    assert jobs.cancel(job.id).state is JobState.CANCELLED
    assert jobs.retry(job.id).state is JobState.QUEUED
