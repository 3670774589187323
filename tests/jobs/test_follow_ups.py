"""Evaluations that are repeated on the model of a job."""

from typing import Any

import pytest

from app.errors import FileNotFound, InvalidValue, JobNotFound
from app.jobs.connection import Client
from app.jobs.indexes import file_key
from app.jobs.kinds import EvaluationSpec, JobState
from app.jobs.spec import Job
from tests.fakes.jobs import JobSystem, make_spec


@pytest.fixture
def jobs(redis: Client) -> JobSystem:
    return JobSystem(redis)


@pytest.fixture
def evaluation(redis: Client, jobs: JobSystem) -> Job:
    redis.set(file_key("file-2"), "{}")
    values: dict[str, Any] = {"file": "file-2", "labels_per_class": ("all",), "seeds": 3, "methods": ("linear_probe",)}
    request = {"models": ["old"], "file": "file-2", "publish": "reviews"}
    return jobs.create(EvaluationSpec(name="reviews", models=("old@1",), publish="reviews", request=request, **values))


def test_an_evaluation_is_repeated_once_and_publishes_nothing(jobs: JobSystem, evaluation: Job) -> None:
    first, second = (jobs.queue.follow_ups.repeat_evaluation(evaluation.id, "new@1") for _ in range(2))
    assert first.id == second.id != evaluation.id
    assert (first.state, first.spec.models, first.spec.publish) == (JobState.QUEUED, ("new@1",), None)
    assert first.spec.request == {"models": ["new@1"], "file": "file-2"}
    assert (first.spec.seeds, first.spec.name) == (3, "reviews")
    assert [job.id for job in jobs.list(kind="evaluation", model="new")[0]] == [first.id]
    assert jobs.queue.follow_ups.repeat_evaluation(evaluation.id, "new@2").id != first.id


def test_what_cannot_be_repeated_is_named(redis: Client, jobs: JobSystem, evaluation: Job) -> None:
    with pytest.raises(JobNotFound):
        jobs.queue.follow_ups.repeat_evaluation("ftjob-0", "new@1")
    other = jobs.create(make_spec(redis))
    with pytest.raises(InvalidValue, match="no evaluation"):
        jobs.queue.follow_ups.repeat_evaluation(other.id, "new@1")
    redis.delete(file_key("file-2"))
    with pytest.raises(FileNotFound):
        jobs.queue.follow_ups.repeat_evaluation(evaluation.id, "new@1")
