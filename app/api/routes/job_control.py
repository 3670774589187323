"""Control of existing jobs. If a job's state does not allow a request, the answer is a 409 with the reason."""

import shutil
import time
from typing import Annotated, TypeAlias

from fastapi import APIRouter, Body
from pydantic import ValidationError

from app.api.deps import FilesDep, JobsDep, Services, ServicesDep
from app.api.openapi import errors
from app.api.params import CheckpointId, JobId
from app.api.routes.jobs import answer
from app.api.schemas.imports import ImportObject
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
from app.api.schemas.jobs import JobObject
from app.api.wire.body import StrictJsonRoute
from app.errors import Conflict
from app.jobs.files import FileStore
from app.jobs.indexes import models_of
from app.jobs.jobs import Jobs
from app.jobs.kinds import JobState
from app.jobs.spec import Job, check_action, pretraining_spec
from app.methods import METHODS
from app.publishing.publication import Publisher, prevent_publication
from app.store.names import check_new_name
from app.validation import describe

AnyJobObject: TypeAlias = JobObject | ImportObject

_LIMITS = dict.fromkeys(ExtendRequest.model_fields)


def cancel_job(
    job_id: JobId,
    services: ServicesDep,
    jobs: JobsDep,
    files: FilesDep,
    body: Annotated[CancelRequest | None, Body(openapi_examples=CANCEL_EXAMPLES)] = None,
) -> AnyJobObject:
    """Ends a job. A running job ends within two steps. Its last checkpoint is kept, and published on request."""
    if body is None or not body.publish:
        return answer(jobs, jobs.cancel(job_id))
    job = jobs.get(job_id)
    published = None
    if job.state in (JobState.QUEUED, JobState.PAUSED):  # no trainer will do it
        published = _publish_last(job, jobs, _publisher(services, files))
    return answer(jobs, jobs.cancel(job_id, publish=True, published=published))


def pause_job(job_id: JobId, jobs: JobsDep) -> AnyJobObject:
    """Pauses a job. A running job saves a checkpoint at its next step and frees its worker."""
    return answer(jobs, jobs.pause(job_id))


def resume_job(job_id: JobId, jobs: JobsDep) -> AnyJobObject:
    """Queues a paused job at its old position. It continues from its checkpoint as if it had not been paused."""
    return answer(jobs, jobs.resume(job_id))


def retry_job(
    job_id: JobId,
    services: ServicesDep,
    jobs: JobsDep,
    body: Annotated[RetryRequest | None, Body(openapi_examples=RETRY_EXAMPLES)] = None,
) -> AnyJobObject:
    """Queues a failed or cancelled job again, from its last checkpoint."""
    body = body or RetryRequest()
    _check_needs(jobs.get(job_id), services)
    new = [body.deadline, time.time() + body.max_wall_minutes * 60 if body.max_wall_minutes else None]
    return answer(jobs, jobs.retry(job_id, deadline=min(filter(None, new), default=None)))


def extend_job(
    job_id: JobId,
    body: Annotated[ExtendRequest, Body(openapi_examples=EXTEND_EXAMPLES)],
    services: ServicesDep,
    jobs: JobsDep,
) -> AnyJobObject:
    """Continues a successful job up to new limits, and publishes the next version.

    Weights, optimiser and order of the data go on from its last checkpoint; the learning rate is
    where the schedule of the longer run has it.
    """
    job = jobs.get(job_id)
    check_action(job, "extend")
    spec = pretraining_spec(job)
    _check_needs(job, services)
    given = body.model_dump(exclude_unset=True)
    try:
        method = METHODS[spec.method].hyperparameters
        hyperparameters = method.model_validate({**spec.hyperparameters, **_LIMITS, **given})
    except ValidationError as error:
        raise describe(dict(error.errors()[0]), "") from error
    return answer(jobs, jobs.extend(job_id, hyperparameters.model_dump(), given))


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
    services: ServicesDep,
    jobs: JobsDep,
    files: FilesDep,
    body: Annotated[PublishRequest | None, Body(openapi_examples=PUBLISH_EXAMPLES)] = None,
) -> PublishedCheckpoint:
    """Publishes a checkpoint as a version, also while the job runs. Repeated requests publish one version."""
    job = jobs.get(job_id)
    check_action(job, "publish")
    checkpoint = jobs.checkpoint(job_id, checkpoint_id)
    name = check_new_name(body.name) if body and body.name else None
    entry = _publisher(services, files).publish_checkpoint(job, checkpoint, name=name)
    return PublishedCheckpoint(
        model=entry.id, checkpoint=checkpoint.id, fine_tuning_job_id=job_id, step_number=checkpoint.step
    )


def delete_job(job_id: JobId, services: ServicesDep, jobs: JobsDep) -> JobDeleted:
    """Deletes an ended job with its events, logs and checkpoints. The models that it published are kept.

    409 for any other job, and while a checkpoint of it is being published.
    """
    folder = services.settings.jobs_dir / jobs.get(job_id).id
    with prevent_publication(folder):
        jobs.delete(job_id)
        shutil.rmtree(folder, ignore_errors=True)  # nothing refers to what stays behind
    return JobDeleted(id=job_id)


def _publish_last(job: Job, jobs: Jobs, publisher: Publisher) -> str:
    checkpoints, _ = jobs.checkpoints(job.id, limit=1)
    if not checkpoints:
        raise Conflict(f"job '{job.id}' has no checkpoint to publish", param="publish")
    return publisher.publish_checkpoint(job, checkpoints[0]).id


def _check_needs(job: Job, services: Services) -> None:
    """An ended job needs its models and disk space to go on. Raises ModelNotFound, InsufficientStorage."""
    services.check_disk()
    for model in models_of(job):
        services.store.resolve(model)


def _publisher(services: Services, files: FileStore) -> Publisher:
    return Publisher(services.store, files, services.settings.jobs_dir)


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
