"""Sweeps: jobs that train a model for each of several settings, and publish the best one."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Body, Query, Request

from app.api.deps import JobsDep, RightsDep, SubmissionDep
from app.api.openapi import errors
from app.api.params import After, IdempotencyKey, JobId
from app.api.routes.job_control import cancel_job, delete_job
from app.api.routes.job_watch import add_watch_routes
from app.api.routes.jobs import answer
from app.api.schemas.any_job import AnyJobObject
from app.api.schemas.sweeps import EXAMPLES, SweepList, SweepRequest, sweep_object
from app.api.wire.body import StrictJsonRoute
from app.api.wire.disconnect import while_connected
from app.jobs.jobs import Jobs
from app.jobs.spec import Job
from app.submission.sweeps import build_sweep_spec, place_fields

Limit = Annotated[int, Query(ge=1, le=100, description="Maximum number of sweeps")]

router = APIRouter(route_class=StrictJsonRoute, tags=["Sweeps"])


@router.post("/v1/sweeps", responses=errors(404, 409, 507))
async def create_sweep(
    request: Request,
    body: Annotated[SweepRequest, Body(openapi_examples=EXAMPLES)],
    services: SubmissionDep,
    jobs: JobsDep,
    rights: RightsDep,
    idempotency_key: IdempotencyKey = None,
) -> AnyJobObject:
    """Checks every combination of settings, and queues a job for each.

    The jobs are ordinary pretraining jobs that publish nothing. When all have ended, the sweep publishes the model of
    the best one under its name. Sent again with the same `Idempotency-Key`, the request answers with the first sweep.
    """
    submission = body.to_submission()
    sent = submission.sent or {}
    earlier = await asyncio.to_thread(jobs.find_created, idempotency_key, sent) if idempotency_key else None
    if earlier:
        return await asyncio.to_thread(answer, jobs, earlier)
    spec = await while_connected(request, build_sweep_spec(submission, services))
    await asyncio.to_thread(rights.check_publication, spec.published_name)
    with place_fields(submission.parameters):
        sweep = await asyncio.to_thread(jobs.create, spec, idempotency_key, priority=body.job.priority)
    return await asyncio.to_thread(_begin, jobs, sweep)


def _begin(jobs: Jobs, sweep: Job) -> AnyJobObject:
    """Queues the jobs of a sweep. What is missing after a crash, a worker queues."""
    jobs.sweeps.create_children(sweep)
    return answer(jobs, sweep)


@router.get("/v1/sweeps")
def list_sweeps(jobs: JobsDep, after: After = None, limit: Limit = 20) -> SweepList:
    """Lists sweeps, newest first."""
    found, has_more = jobs.list(after, limit, kind="sweep")
    return SweepList(data=[sweep_object(sweep, jobs.sweeps.rank(sweep)) for sweep in found], has_more=has_more)


@router.get("/v1/sweeps/{job_id:job_id}")
def get_sweep(job_id: JobId, jobs: JobsDep) -> AnyJobObject:
    """Returns a sweep with its jobs, the best first."""
    return answer(jobs, jobs.get(job_id))


router.post("/v1/sweeps/{job_id}/cancel", responses=errors(409, 422))(cancel_job)
router.delete("/v1/sweeps/{job_id:job_id}", responses=errors(409))(delete_job)
add_watch_routes(router, "/v1/sweeps")
