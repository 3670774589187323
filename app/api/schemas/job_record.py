"""The fields that jobs of every kind have on the wire."""

from typing import Any

from pydantic import BaseModel, Field

from app.api.schemas.job_watch import WebhookObject, webhook_object
from app.jobs.kinds import JobState, Resources
from app.jobs.spec import Job, JobError, Progress

# OpenAI has no such state: a job that is stopping counts as running.
_STATUS = {JobState.CANCELLING: JobState.RUNNING}


class JobRecord(BaseModel):
    """Base class of job objects. Each kind of job adds its request and its result."""

    id: str
    created_at: int
    started_at: int | None
    finished_at: int | None
    estimated_finish: int | None = Field(description="Unix time of the expected end; null unless the job is running")
    status: str = Field(description="State of the job: one of OpenAI's, or `paused`")
    cancel_requested: bool = Field(description="Whether the job is stopping because it was cancelled")
    error: JobError | None = Field(description="Error that ended the job; null if there is none")
    name: str = Field(description="Name of the model that the job publishes")
    progress: Progress = Field(description="Progress of the job")
    queue_position: int | None = Field(description="Position in the queue, 0 is next; null unless the job is queued")
    queue_reason: str | None = Field(
        description="Reason why no worker takes the job; null if it only waits for its turn in the queue"
    )
    owner: str | None = Field(description="Id of the API key that made it; null: an operator, or a server without keys")
    priority: int = Field(description="Priority of the job; jobs of higher priority are claimed first")
    deadline: int | None = Field(description="Unix time at which the job fails if it is not finished; null if none")
    resources: Resources
    attempts: int = Field(description="Number of times that a worker has started or resumed the job")
    crashes: int = Field(
        description="Number of attempts in a row that died without a new checkpoint; the third ends the job"
    )
    retry_at: int | None = Field(description="Unix time of the earliest retry after a crash")
    retries: int = Field(description="Number of times that the user has retried the job")
    metadata: dict[str, str]
    webhook: WebhookObject | None


def job_status(job: Job) -> str:
    """Returns the state of a job on the wire."""
    return _STATUS.get(job.state, job.state)


def record_fields(job: Job, queue_reason: str | None) -> dict[str, Any]:
    """Returns the values of `JobRecord`'s fields."""
    spec = job.spec
    return {
        "id": job.id,
        "created_at": int(job.created_at),
        "started_at": _seconds(job.started_at),
        "finished_at": _seconds(job.finished_at),
        "estimated_finish": _seconds(job.estimated_finish if job.state == JobState.RUNNING else None),
        "status": job_status(job),
        "cancel_requested": job.state == JobState.CANCELLING,
        "error": job.error,
        "name": spec.name,
        "progress": job.progress,
        "queue_position": job.queue_position if job.state == JobState.QUEUED else None,
        "queue_reason": queue_reason,
        "owner": job.owner,
        "priority": job.priority,
        "deadline": _seconds(job.deadline),
        "resources": spec.resources,
        "attempts": job.attempt,
        "crashes": job.crashes,
        "retry_at": _seconds(job.retry_at),
        "retries": job.retries,
        "metadata": spec.metadata,
        "webhook": webhook_object(spec.webhook),
    }


def _seconds(time: float | None) -> int | None:
    return None if time is None else int(time)
