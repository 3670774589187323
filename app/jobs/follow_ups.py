"""Evaluations that are repeated on the model of a job, once it is published."""

import hashlib
from functools import partial

from app.errors import InvalidValue
from app.jobs import transitions
from app.jobs.connection import Client
from app.jobs.events import EventLog
from app.jobs.kinds import EvaluationSpec, JobState
from app.jobs.repository import JobRepository
from app.jobs.spec import Job
from app.jobs.wakeups import Wakeups


class FollowUps:
    """Every call may raise `connection.StorageError` while Redis is away."""

    def __init__(self, redis: Client) -> None:
        self._records = JobRepository(redis, EventLog(redis))
        self._wakeups = Wakeups(redis)

    def repeat_evaluation(self, evaluation_id: str, model: str) -> Job:
        """Queues an earlier evaluation again, on `model` instead of its own models. It publishes nothing.

        A second call returns the same job. Raises JobNotFound if the earlier one was deleted, FileNotFound if its
        file was, and InvalidValue for a job of another kind.
        """
        earlier = self._records.read(evaluation_id)
        spec = evaluation_spec(earlier)
        sent = {key: value for key, value in spec.request.items() if key != "publish"}
        update = {"models": (model,), "publish": None, "request": {**sent, "models": [model]}}
        digest = hashlib.sha256(f"{evaluation_id}/{model}".encode()).hexdigest()
        new = Job(
            id=f"ftjob-{digest[:24]}",
            spec=spec.model_copy(update=update),
            state=JobState.QUEUED,
            created_at=0,
            owner=earlier.owner,
        )
        job = self._records.read(self._records.create(new.id, partial(transitions.create, new)))
        self._wakeups.send_for(job)
        return job


def evaluation_spec(job: Job) -> EvaluationSpec:
    """Returns the specification of an evaluation. Raises InvalidValue for jobs of other kinds."""
    if not isinstance(job.spec, EvaluationSpec):
        raise InvalidValue(f"job '{job.id}' is of the kind '{job.spec.kind}' and no evaluation")
    return job.spec
