"""Control of existing jobs. If a job's state does not allow a request, the answer is a 409 with the reason."""

from typing import Annotated

from fastapi import APIRouter, Body

from app.api.deps import ControlDep, JobsDep, RightsDep
from app.api.openapi import errors
from app.api.params import CheckpointId, JobId
from app.api.routes.jobs import answer
from app.api.schemas.any_job import AnyJobObject
from app.api.schemas.job_control import (
    CANCEL_EXAMPLES,
    EXTEND_EXAMPLES,
    PRIORITY_EXAMPLES,
    PUBLISH_EXAMPLES,
    RETRY_EXAMPLES,
    CancelRequest,
    ExtendRequest,
    JobDeleted,
    PriorityRequest,
    PublishedCheckpoint,
    PublishRequest,
    RetryRequest,
)
from app.api.wire.body import StrictJsonRoute

_LIMITS = tuple(ExtendRequest.model_fields)


def cancel_job(
    job_id: JobId,
    jobs: JobsDep,
    control: ControlDep,
    body: Annotated[CancelRequest | None, Body(openapi_examples=CANCEL_EXAMPLES)] = None,
) -> AnyJobObject:
    """Ends a job. A running job ends within two steps. Its last checkpoint is kept, and published on request.

    Ends all jobs of a sweep. With `publish`, the sweep publishes the best of those that had succeeded.
    """
    return answer(jobs, control.cancel(job_id, publish=body is not None and body.publish))


def pause_job(job_id: JobId, jobs: JobsDep) -> AnyJobObject:
    """Pauses a job. A running job saves a checkpoint at its next step and frees its worker."""
    return answer(jobs, jobs.pause(job_id))


def resume_job(job_id: JobId, jobs: JobsDep) -> AnyJobObject:
    """Queues a paused job at its old position. It continues from its checkpoint as if it had not been paused."""
    return answer(jobs, jobs.resume(job_id))


def retry_job(
    job_id: JobId,
    jobs: JobsDep,
    control: ControlDep,
    body: Annotated[RetryRequest | None, Body(openapi_examples=RETRY_EXAMPLES)] = None,
) -> AnyJobObject:
    """Queues a failed or cancelled job again, from its last checkpoint."""
    body = body or RetryRequest()
    return answer(jobs, control.retry(job_id, deadline=body.deadline, max_wall_minutes=body.max_wall_minutes))


def extend_job(
    job_id: JobId,
    body: Annotated[ExtendRequest, Body(openapi_examples=EXTEND_EXAMPLES)],
    jobs: JobsDep,
    control: ControlDep,
) -> AnyJobObject:
    """Continues a successful job up to new limits, and publishes the next version.

    Weights, optimiser and order of the data go on from its last checkpoint; the learning rate is
    where the schedule of the longer run has it.
    """
    return answer(jobs, control.extend(job_id, body.model_dump(exclude_unset=True), _LIMITS))


def set_priority(
    job_id: JobId, body: Annotated[PriorityRequest, Body(openapi_examples=PRIORITY_EXAMPLES)], jobs: JobsDep
) -> AnyJobObject:
    """Changes a job's priority, or its position in the queue."""
    if body.position is not None:
        return answer(jobs, jobs.move(job_id, body.position))
    return answer(jobs, jobs.prioritise(job_id, body.priority or 0))


def publish_checkpoint(
    job_id: JobId,
    checkpoint_id: CheckpointId,
    jobs: JobsDep,
    control: ControlDep,
    rights: RightsDep,
    body: Annotated[PublishRequest | None, Body(openapi_examples=PUBLISH_EXAMPLES)] = None,
) -> PublishedCheckpoint:
    """Publishes a checkpoint as a version, also while the job runs. Repeated requests publish one version."""
    rights.check_publication((body.name if body else None) or jobs.get(job_id).spec.published_name)
    entry, step = control.publish(job_id, checkpoint_id, name=body.name if body else None)
    return PublishedCheckpoint(model=entry.id, checkpoint=checkpoint_id, fine_tuning_job_id=job_id, step_number=step)


def delete_job(job_id: JobId, control: ControlDep) -> JobDeleted:
    """Deletes an ended job with its events, logs and checkpoints. The models that it published are kept.

    409 for any other job, and while a checkpoint of it is being published.
    """
    control.delete(job_id)
    return JobDeleted(id=job_id)


def build_router(prefix: str, tag: str) -> APIRouter:
    """Builds the routes that control jobs under `prefix`."""
    router = APIRouter(prefix=prefix, route_class=StrictJsonRoute, tags=[tag])
    for path, handler in (
        ("cancel", cancel_job),
        ("pause", pause_job),
        ("resume", resume_job),
        ("retry", retry_job),
        ("extend", extend_job),
        ("priority", set_priority),
        ("checkpoints/{checkpoint_id}/publish", publish_checkpoint),
    ):
        router.post(f"/{{job_id}}/{path}", responses=errors(409, 422, 507))(handler)
    router.delete("/{job_id:job_id}", responses=errors(409))(delete_job)
    return router
