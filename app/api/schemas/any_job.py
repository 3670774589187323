"""The object of a job of any kind."""

from typing import TypeAlias

from app.api.schemas.evaluations import EvaluationObject, evaluation_object
from app.api.schemas.imports import ImportObject, import_object
from app.api.schemas.jobs import JobObject, job_object
from app.jobs.spec import Job

AnyJobObject: TypeAlias = JobObject | ImportObject | EvaluationObject


def any_job_object(job: Job, queue_reason: str | None = None) -> AnyJobObject:
    """Returns the object of a job of any kind."""
    match job.spec.kind:
        case "import":
            return import_object(job, queue_reason)
        case "evaluation":
            return evaluation_object(job, queue_reason)
        case _:
            return job_object(job, queue_reason)
