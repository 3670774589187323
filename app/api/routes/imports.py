"""Imports of models: jobs that download a model or unpack an archive, and publish it in the store."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Body

from app.api.deps import JobsDep, RightsDep, SubmissionDep
from app.api.openapi import errors
from app.api.params import After, IdempotencyKey, JobId
from app.api.routes.job_control import cancel_job, delete_job, retry_job, set_priority
from app.api.routes.job_watch import add_watch_routes
from app.api.routes.jobs import Limit, answer
from app.api.schemas.any_job import AnyJobObject
from app.api.schemas.imports import EXAMPLES, ImportList, ImportRequest, import_object
from app.api.wire.body import StrictJsonRoute
from app.submission.imports import build_import_spec

router = APIRouter(route_class=StrictJsonRoute, tags=["Imports of models"])


@router.post("/v1/models/import", responses=errors(403, 404, 409, 507))
async def import_model(
    body: Annotated[ImportRequest, Body(openapi_examples=EXAMPLES)],
    services: SubmissionDep,
    jobs: JobsDep,
    rights: RightsDep,
    idempotency_key: IdempotencyKey = None,
) -> AnyJobObject:
    """Queues the import of a model of the hub, or of an uploaded archive.

    The job downloads or unpacks the model, converts PyTorch checkpoints, and compares the answers of the model with
    those of transformers. It publishes the model, or fails with the reason. Sent again with the same
    `Idempotency-Key`, the request answers with the first job.
    """
    submission = body.to_submission()
    if idempotency_key and (earlier := await asyncio.to_thread(jobs.find_created, idempotency_key, submission.sent)):
        return await asyncio.to_thread(answer, jobs, earlier)
    spec = await build_import_spec(submission, services)
    await asyncio.to_thread(rights.check_publication, spec.published_name)
    job = await asyncio.to_thread(jobs.create, spec, idempotency_key, priority=body.priority)
    return await asyncio.to_thread(answer, jobs, job)


@router.get("/v1/imports")
def list_imports(jobs: JobsDep, after: After = None, limit: Limit = 20) -> ImportList:
    """Lists imports, newest first."""
    found, has_more = jobs.list(after, limit, kind="import")
    reasons = jobs.queue_reasons(found)
    return ImportList(data=[import_object(job, reasons.get(job.id)) for job in found], has_more=has_more)


@router.get("/v1/imports/{job_id:job_id}")
def get_import(job_id: JobId, jobs: JobsDep) -> AnyJobObject:
    """Returns an import with its progress."""
    return answer(jobs, jobs.get(job_id))


for path, handler in (("cancel", cancel_job), ("retry", retry_job), ("priority", set_priority)):
    router.post(f"/v1/imports/{{job_id}}/{path}", responses=errors(409, 422, 507))(handler)
router.delete("/v1/imports/{job_id:job_id}", responses=errors(409))(delete_job)
add_watch_routes(router, "/v1/imports")
