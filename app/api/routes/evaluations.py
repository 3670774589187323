"""Evaluations: jobs that measure how much models help with few labels."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Body, Query, Request

from app.api.deps import JobsDep, RightsDep, SubmissionDep
from app.api.openapi import errors
from app.api.params import After, IdempotencyKey, JobId
from app.api.routes import job_artifacts
from app.api.routes.job_control import cancel_job, delete_job, pause_job, resume_job, retry_job, set_priority
from app.api.routes.job_watch import add_watch_routes
from app.api.routes.jobs import Limit, answer
from app.api.schemas.any_job import AnyJobObject
from app.api.schemas.common import MAX_MODEL_ID
from app.api.schemas.evaluations import EXAMPLES, EvaluationList, EvaluationRequest, evaluation_object
from app.api.wire.body import StrictJsonRoute
from app.api.wire.disconnect import while_connected
from app.submission.evaluations import build_evaluation_spec

_PATH = "/v1/evaluations"

router = APIRouter(route_class=StrictJsonRoute, tags=["Evaluations"])


@router.post(_PATH, responses=errors(404, 409, 507))
async def create_evaluation(
    request: Request,
    body: Annotated[EvaluationRequest, Body(openapi_examples=EXAMPLES)],
    services: SubmissionDep,
    jobs: JobsDep,
    rights: RightsDep,
    idempotency_key: IdempotencyKey = None,
) -> AnyJobObject:
    """Checks the request and the beginning of its files, and queues an evaluation.

    The report is the artifact `report.json`, which grows while the job runs; `report.csv` and `report.md` follow at the
    end. Sent again with the same `Idempotency-Key`, the request answers with the first job.
    """
    submission = body.to_submission()
    if idempotency_key and (earlier := await asyncio.to_thread(jobs.find_created, idempotency_key, submission.sent)):
        return await asyncio.to_thread(answer, jobs, earlier)
    spec = await while_connected(request, build_evaluation_spec(submission, services))
    await asyncio.to_thread(rights.check_publication, spec.published_name)
    job = await asyncio.to_thread(jobs.create, spec, idempotency_key, priority=body.priority)
    return await asyncio.to_thread(answer, jobs, job)


@router.get(_PATH)
def list_evaluations(
    jobs: JobsDep,
    after: After = None,
    limit: Limit = 20,
    model: Annotated[
        str | None, Query(max_length=MAX_MODEL_ID, description="Those of this model: name@version, or name")
    ] = None,
) -> EvaluationList:
    """Lists evaluations, newest first."""
    found, has_more = jobs.list(after, limit, kind="evaluation", model=model)
    reasons = jobs.queue_reasons(found)
    return EvaluationList(data=[evaluation_object(job, reasons.get(job.id)) for job in found], has_more=has_more)


@router.get(f"{_PATH}/{{job_id:job_id}}")
def get_evaluation(job_id: JobId, jobs: JobsDep) -> AnyJobObject:
    """Returns an evaluation with its progress."""
    return answer(jobs, jobs.get(job_id))


for path, handler in (
    ("cancel", cancel_job),
    ("pause", pause_job),
    ("resume", resume_job),
    ("retry", retry_job),
    ("priority", set_priority),
):
    router.post(f"{_PATH}/{{job_id}}/{path}", responses=errors(409, 422, 507))(handler)
router.delete(f"{_PATH}/{{job_id:job_id}}", responses=errors(409))(delete_job)
add_watch_routes(router, _PATH)
router.include_router(job_artifacts.build_router(_PATH, "Evaluations"))
