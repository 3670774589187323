"""The object of a job of any kind."""

from typing import TypeAlias

from app.api.schemas.evaluations import EvaluationObject, evaluation_object
from app.api.schemas.imports import ImportObject, import_object
from app.api.schemas.jobs import JobObject, job_object
from app.api.schemas.sweeps import SweepObject, sweep_object
from app.jobs.jobs import Jobs
from app.jobs.spec import Job
from app.jobs.sweeps import LOSS, Ranking

AnyJobObject: TypeAlias = JobObject | ImportObject | EvaluationObject | SweepObject


def any_job_object(job: Job, queue_reason: str | None = None, ranking: Ranking | None = None) -> AnyJobObject:
    """Returns the object of a job of any kind. ranking: of the jobs of a sweep; None if it is not known."""
    match job.spec.kind:
        case "import":
            return import_object(job, queue_reason)
        case "evaluation":
            return evaluation_object(job, queue_reason)
        case "sweep":
            return sweep_object(job, ranking or Ranking(LOSS, ()))
        case _:
            return job_object(job, queue_reason)


def complete_job_object(jobs: Jobs, job: Job) -> AnyJobObject:
    """Returns the object with what the records of other jobs and of workers say about it. Raises StorageError."""
    ranking = jobs.sweeps.rank(job) if job.spec.kind == "sweep" else None
    return any_job_object(job, jobs.queue_reasons([job]).get(job.id), ranking)
