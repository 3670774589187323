"""Pretraining jobs, under Cloze's own path and under the one that OpenAI's client knows.

Most handlers are plain functions: they wait for Redis and the disk, so they run on threads. Those that read files
have child processes do it, and wait for them on the event loop.
"""

import asyncio
import re
from typing import Annotated

from fastapi import APIRouter, Body, Query, Request

from app.api.deps import JobsDep, RightsDep, SubmissionDep
from app.api.openapi import errors
from app.api.params import After, IdempotencyKey, JobId
from app.api.schemas.any_job import AnyJobObject, complete_job_object
from app.api.schemas.checkpoints import CheckpointList, checkpoint_object
from app.api.schemas.jobs import (
    EXAMPLES,
    JobList,
    JobRequest,
    ValidationObject,
    job_object,
    validation_object,
)
from app.api.wire.body import StrictJsonRoute
from app.api.wire.disconnect import while_connected
from app.jobs.jobs import Jobs
from app.jobs.spec import Job
from app.submission.job_specs import build_spec, check_submission

_METADATA = re.compile(r"metadata\[(.+)\]")

Limit = Annotated[int, Query(ge=1, le=1000, description="Maximum number of entries")]


async def create_job(
    request: Request,
    body: Annotated[JobRequest, Body(openapi_examples=EXAMPLES)],
    services: SubmissionDep,
    jobs: JobsDep,
    rights: RightsDep,
    idempotency_key: IdempotencyKey = None,
) -> AnyJobObject:
    """Checks the request and the beginning of its files, and queues the job.

    Sent again with the same `Idempotency-Key`, it answers with the first job.
    """
    submission = body.to_submission()
    if idempotency_key and (earlier := await asyncio.to_thread(jobs.find_created, idempotency_key, submission.sent)):
        return await asyncio.to_thread(answer, jobs, earlier)
    spec = await while_connected(request, build_spec(submission, services))
    await asyncio.to_thread(rights.check_publication, spec.published_name)
    job = await asyncio.to_thread(jobs.create, spec, idempotency_key, priority=body.priority)
    return await asyncio.to_thread(answer, jobs, job)


async def validate_job(
    request: Request,
    body: Annotated[JobRequest, Body(openapi_examples=EXAMPLES)],
    services: SubmissionDep,
) -> ValidationObject:
    """Checks a job without queueing it. Returns its estimate and previews of its files, or the error of creating it."""
    checking = check_submission(body.to_submission(), services)
    return validation_object(await while_connected(request, checking))


def list_jobs(request: Request, jobs: JobsDep, after: After = None, limit: Limit = 20) -> JobList:
    """Lists jobs, newest first. `metadata[key]=value` filters them; several filters must all match."""
    wanted = {m[1]: value for key, value in request.query_params.items() if (m := _METADATA.fullmatch(key))}
    found, has_more = jobs.list(after, limit, wanted, kind="pretraining")
    reasons = jobs.queue_reasons(found)
    return JobList(data=[job_object(job, reasons.get(job.id)) for job in found], has_more=has_more)


def get_job(job_id: JobId, jobs: JobsDep) -> AnyJobObject:
    return answer(jobs, jobs.get(job_id))


def answer(jobs: Jobs, job: Job) -> AnyJobObject:
    """Returns the object of a job of any kind."""
    return complete_job_object(jobs, job)


def list_checkpoints(job_id: JobId, jobs: JobsDep, after: After = None, limit: Limit = 10) -> CheckpointList:
    """Lists the job's kept checkpoints, newest first."""
    found, has_more = jobs.checkpoints(job_id, after, limit)
    return CheckpointList(data=[checkpoint_object(job_id, each) for each in found], has_more=has_more)


def build_router(prefix: str, tag: str) -> APIRouter:
    """Builds the routes of jobs under `prefix`."""
    router = APIRouter(prefix=prefix, route_class=StrictJsonRoute, tags=[tag])
    router.post("", responses=errors(404, 409, 507))(create_job)
    router.post("/validate", responses=errors(404, 507))(validate_job)
    router.get("", responses=errors(404))(list_jobs)
    router.get("/{job_id:job_id}")(get_job)
    router.get("/{job_id}/checkpoints")(list_checkpoints)
    return router
