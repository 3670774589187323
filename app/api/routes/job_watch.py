"""Routes that show a running job: events in pages or as a stream, metrics, logs."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from app.api.deps import JobsDep, ServicesDep
from app.api.openapi import errors
from app.api.params import After, JobId
from app.api.schemas.any_job import AnyJobObject, any_job_object, complete_job_object
from app.api.schemas.common import MAX_ID
from app.api.schemas.job_watch import DeliveryList, MetricSeriesList, delivery_object, series_object
from app.api.schemas.jobs import EventList, event_object
from app.api.wire import sse
from app.api.wire.ranges import parse_range
from app.errors import InvalidValue, JobNotFound, NotFound
from app.jobs.connection import StorageError
from app.jobs.feed import EventFeed
from app.jobs.jobs import Jobs
from app.jobs.kinds import JobState
from app.jobs.logs import AttemptLog
from app.jobs.metrics import downsample, iterate_csv
from app.jobs.spec import FINAL_STATES, Job, JobEvent

_EVENTS = """\
retry: 1000

id: 1795471037000-0
event: message
data: {"object": "fine_tuning.job.event", "id": "1795471037000-0", "level": "info", "message": "…", …}

event: job
data: {"object": "fine_tuning.job", "id": "ftjob-…", "status": "running", …}

id: 1795471037000-0-end
event: end
data: {"object": "fine_tuning.job", "id": "ftjob-…", "status": "succeeded", …}
"""
_STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {
            sse.MEDIA_TYPE: {
                "schema": {
                    "type": "string",
                    "description": "Server-sent events: `message` and `metrics` carry an `EventObject`, `job` and `end`"
                    " a `JobObject`; comments come while there is nothing new",
                },
                "example": _EVENTS,
            }
        }
    },
    204: {"description": "The job has ended, and the client has its last event"},
}
_TEXT = {"content": {"text/plain": {"schema": {"type": "string"}}}}
_CSV: dict[int | str, dict[str, Any]] = {200: {"content": {"text/csv": {"schema": {"type": "string"}}}}}
_LOG: dict[int | str, dict[str, Any]] = {
    200: _TEXT,
    206: {"description": "The part that `Range` asks for", **_TEXT},
    **errors(416),
}

_END = "-end"  # what the id of a stream's last message has behind that of the event before it
_LOG_INTERVAL = 0.5  # seconds between two looks at a log that grows
_MAX_KEYS = 100


async def list_events(
    request: Request,
    job_id: JobId,
    services: ServicesDep,
    jobs: JobsDep,
    after: After = None,
    limit: Annotated[int, Query(ge=1, le=1000, description="Maximum number of entries")] = 20,
    order: Annotated[
        Literal["asc", "desc"], Query(description="Order by creation time; `desc` lists the newest first")
    ] = "desc",
    stream: Annotated[
        bool | None, Query(description="Whether to stream the events, like `Accept: text/event-stream`")
    ] = None,
    last_event_id: Annotated[
        str | None,
        Header(max_length=MAX_ID, description="Id of the last event that was received; the stream continues after it"),
    ] = None,
) -> EventList | Response:
    """Lists events, newest first as in OpenAI's API. To follow a job, use `order=asc` and the last id as `after`.

    As a stream: every event after `after`, in order and once, as `message` or `metrics` with its id;
    `job`, the job object, whenever it changes; and `end`, with the job object, when it has ended.
    """
    accepted = request.headers.get("accept", "")
    if not (sse.MEDIA_TYPE in accepted if stream is None else stream):
        found, has_more = await run_in_threadpool(jobs.events, job_id, after, limit, order)
        return EventList(data=[event_object(event) for event in found], has_more=has_more)
    cursor = last_event_id or after
    if cursor and cursor.endswith(_END):
        cursor = cursor.removesuffix(_END)
        if await run_in_threadpool(_has_ended, jobs, job_id, cursor):
            return Response(status_code=204)  # tells a browser's EventSource not to come back
    await run_in_threadpool(jobs.events, job_id, cursor, 1)  # raises errors before the stream begins
    return sse.stream(_messages(services.need_feed(), jobs, job_id, cursor))


def _has_ended(jobs: Jobs, job_id: str, after: str) -> bool:
    """Whether there will be nothing behind the event `after`, unless the job is taken up again."""
    final = jobs.get(job_id).state in FINAL_STATES
    return final and not jobs.events(job_id, after, 1)[0]


async def _messages(feed: EventFeed, jobs: Jobs, job_id: str, after: str | None) -> AsyncIterator[bytes]:
    yield sse.RETRY
    last = after or ""
    try:
        async for news in feed.follow(job_id, after):
            if news is None:
                yield sse.HEARTBEAT
            elif isinstance(news, JobEvent):
                last = news.id
                yield sse.message(news.type, event_object(news).model_dump_json(), news.id)
            else:
                ended = news.state in FINAL_STATES
                text = (await run_in_threadpool(_shown, jobs, news)).model_dump_json()
                yield sse.message("end", text, last + _END) if ended else sse.message("job", text)
    except JobNotFound:  # deleted meanwhile
        return


def _shown(jobs: Jobs, job: Job) -> AnyJobObject:
    try:
        return complete_job_object(jobs, job)
    except StorageError:
        return any_job_object(job)


def get_metrics(
    job_id: JobId,
    jobs: JobsDep,
    keys: Annotated[
        str | None, Query(max_length=10_000, description="Names of metrics, separated by commas; all by default")
    ] = None,
    max_points: Annotated[int, Query(ge=3, le=10_000, description="Maximum number of points of each series")] = 500,
) -> MetricSeriesList:
    """Returns each metric as a series over steps. A long series is reduced to the points that keep its shape."""
    jobs.get(job_id)
    names = [key.strip() for key in keys.split(",") if key.strip()] if keys else jobs.series.keys(job_id)
    if len(names) > _MAX_KEYS:
        raise InvalidValue(f"`keys` names {len(names)} series; one request may ask for {_MAX_KEYS}", param="keys")
    found = zip(names, jobs.series.read(job_id, names), strict=True)
    return MetricSeriesList(data=[series_object(key, len(p), downsample(p, max_points)) for key, p in found])


def get_metrics_csv(job_id: JobId, jobs: JobsDep) -> StreamingResponse:
    """Returns all metrics as a table with a row for each step. No point is left out."""
    jobs.get(job_id)
    keys = jobs.series.keys(job_id)
    headers = {"content-disposition": f'attachment; filename="{job_id}.csv"'}
    lines = iterate_csv(keys, jobs.series.read(job_id, keys))
    return StreamingResponse(lines, headers=headers, media_type="text/csv")


def get_log(
    request: Request,
    job_id: JobId,
    services: ServicesDep,
    jobs: JobsDep,
    attempt: Annotated[
        int | None, Query(ge=1, le=10**9, description="Number of the attempt; the latest by default")
    ] = None,
    tail: Annotated[
        int | None,
        Query(ge=0, le=100_000, description="Number of lines from the end, of at most 1 MiB; all by default"),
    ] = None,
    follow: Annotated[bool, Query(description="Whether the response continues until the attempt has ended")] = False,
) -> Response:
    """Returns the output of an attempt's process, or the part in a `Range` header."""
    job = jobs.get(job_id)
    number = attempt or job.attempt
    if number == 0:
        raise NotFound(f"job '{job_id}' has not begun, so there is no log")
    log = AttemptLog(services.settings.jobs_dir, job_id, number)
    size = log.size()
    start = 0 if tail is None else log.tail_start(tail)
    if follow:
        return StreamingResponse(_grow(log, start, jobs, services.need_feed(), job_id, number), media_type="text/plain")
    headers = {"accept-ranges": "bytes" if tail is None else "none"}
    part = parse_range(request.headers.get("range"), size) if tail is None else None
    if part:
        headers["content-range"] = f"bytes {part[0]}-{part[1] - 1}/{size}"
    begin, end = part or (start, size)
    headers["content-length"] = str(end - begin)
    return StreamingResponse(log.chunks(begin, end), 206 if part else 200, headers, media_type="text/plain")


async def _grow(
    log: AttemptLog, position: int, jobs: Jobs, feed: EventFeed, job_id: str, attempt: int
) -> AsyncIterator[bytes]:
    while not feed.ending:
        # Asked for before the file is read, so that what was printed until then is not missed.
        over = await run_in_threadpool(_is_over, jobs, job_id, attempt)
        while chunk := await run_in_threadpool(log.read, position):
            position += len(chunk)
            yield chunk
        if over:
            return
        await asyncio.sleep(_LOG_INTERVAL)


def _is_over(jobs: Jobs, job_id: str, attempt: int) -> bool:
    try:
        job = jobs.get(job_id)
    except StorageError:
        return False
    except JobNotFound:
        return True
    return job.attempt != attempt or job.state not in (JobState.RUNNING, JobState.CANCELLING)


def list_webhooks(job_id: JobId, jobs: JobsDep) -> DeliveryList:
    """Lists the job's webhook deliveries, made and pending, newest first."""
    jobs.get(job_id)
    return DeliveryList(data=[delivery_object(each) for each in jobs.webhooks.deliveries(job_id)])


def add_watch_routes(router: APIRouter, prefix: str = "") -> None:
    """Adds the routes that jobs of every kind have."""
    router.get(f"{prefix}/{{job_id}}/events", response_model=EventList, responses=_STREAM)(list_events)
    router.get(f"{prefix}/{{job_id}}/logs", response_class=Response, responses=_LOG)(get_log)
    router.get(f"{prefix}/{{job_id}}/webhooks")(list_webhooks)


def build_router(prefix: str, tag: str) -> APIRouter:
    """The routes under `prefix`, beside those of the jobs themselves."""
    router = APIRouter(prefix=prefix, tags=[tag])
    add_watch_routes(router)
    router.get("/{job_id}/metrics")(get_metrics)
    router.get("/{job_id}/metrics.csv", response_class=Response, responses=_CSV)(get_metrics_csv)
    return router
