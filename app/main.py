"""Builds the web service from its parts: `uvicorn --factory app.main:create_app`."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from functools import cache
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.middleware.cors import CORSMiddleware

from app import __version__
from app.access.build import Access, build_access
from app.api import docs, errors, openapi
from app.api.deps import Services
from app.api.gauges import watch
from app.api.job_services import connect_jobs, find_redis
from app.api.metrics import MetricsMiddleware, ServerMetrics
from app.api.middleware.access_log import AccessLogMiddleware
from app.api.middleware.admission import AdmissionMiddleware
from app.api.middleware.api_keys import ApiKeyMiddleware
from app.api.middleware.audit import AuditMiddleware
from app.api.middleware.body_limit import BodyLimitMiddleware, BodyLimits
from app.api.middleware.cache_headers import CacheHeadersMiddleware
from app.api.middleware.key_limits import KeyLimitMiddleware
from app.api.middleware.methods import HeadMiddleware, PathMiddleware
from app.api.middleware.origins import OriginMiddleware
from app.api.middleware.request_id import RequestIdMiddleware
from app.api.placement import ModelPlacement, ModelServersMiddleware
from app.api.routes import (
    audit,
    classify,
    comparing,
    embeddings,
    evaluations,
    fill_mask,
    imports,
    job_artifacts,
    job_control,
    job_watch,
    methods,
    models,
    reconstruct,
    score,
    sweeps,
    system,
    tokenize,
    web,
    workers,
)
from app.api.routes import files as files_routes
from app.api.routes import jobs as jobs_routes
from app.api.routes import keys as keys_routes
from app.api.wire.content_type import NDJSON
from app.compat import cohere, cohere_rerank, hub, huggingface, ollama, root, tei
from app.compat.error_shapes import shape_finder
from app.errors import AppError, NotReady
from app.inference.build import build_inference, build_pool
from app.jobs.feed import EventFeed
from app.jobs.files import FileStore
from app.jobs.jobs import Jobs
from app.modalities.served_model import ServedModel
from app.serving.pool import EnginePool
from app.settings import MIB, Settings
from app.store.opening import open_store
from app.store.store import ModelStore
from app.system.pool_process import ProcessLimits
from app.system.process_pool import ProcessPool
from app.telemetry.start import start_tracing, stop_tracing

_JOB_PATHS = {
    "/v1/pretraining/jobs": "Pretraining jobs",
    "/v1/fine_tuning/jobs": "Pretraining jobs, under OpenAI's path",
}
_STREAMED = (NDJSON, frozenset({"/v1/classify", "/v1/embeddings", "/v1/fill-mask"}))
_CHECKERS = 2  # processes that check the files of jobs
_STOP_SECONDS = 3.0  # in which threads have to end after the last request
_FORM_ROOM = MIB  # what a multipart form adds to its file, at most

_log = logging.getLogger(__name__)


def create_app(
    settings: Settings | None = None,
    *,
    pool: EnginePool | None = None,
    load: Callable[[Path], ServedModel] | None = None,
    jobs: Jobs | None = None,
    files: FileStore | None = None,
    feed: EventFeed | None = None,
    store: ModelStore | None = None,
    access: Access | None = None,
) -> FastAPI:
    """Builds the web service. Parts that are not given are built from the settings.

    The pool starts and stops with the application. If `jobs` and `files` are not given and no Redis is
    found, the routes of jobs and files answer 503 and inference works.
    """
    settings = settings or Settings()
    start_tracing(settings.otel_endpoint, settings.otel_sample_ratio, "cloze-api", __version__)
    metrics = ServerMetrics()
    store = store or open_store(settings, check=True)
    pool = pool or build_pool(settings, store, load=load, observer=metrics)
    inference = build_inference(settings, pool, observer=metrics)
    builds_jobs = jobs is None and files is None
    url = find_redis(settings) if builds_jobs else None
    access = access or build_access(settings, url)
    services = Services(settings, metrics, store, pool, inference, _build_checkers(settings), access, jobs, files, feed)
    if builds_jobs:
        connect_jobs(services, url)
    watch(services)
    if settings.peers:
        services.placement = ModelPlacement(settings.peers, settings.model_servers)

    app = FastAPI(
        title="Cloze",
        description="Serves and pretrains masked-prediction models.",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        servers=[{"url": settings.root_path}] if settings.root_path else None,
        lifespan=_lifespan,
    )
    app.state.services = services
    _add_middleware(app, services)
    find_shape = shape_finder(root_routes=settings.root_routes)
    errors.install(app, find_shape)
    docs.install(app, settings.root_path or "")
    _add_routes(app, root_routes=settings.root_routes)
    openapi.install(app, find_shape)
    return app


def _add_routes(app: FastAPI, *, root_routes: bool) -> None:
    for router in (
        fill_mask.router,
        embeddings.router,
        classify.router,
        score.router,
        comparing.router,
        reconstruct.router,
        tokenize.router,
        imports.router,
        evaluations.router,
        models.router,
        files_routes.router,
        *_job_routers(),
        methods.router,
        sweeps.router,
        workers.router,
        keys_routes.router,
        audit.router,
        huggingface.router,
        tei.router,
        tei.named_router,
        cohere.router,
        cohere_rerank.router,
        ollama.router,
        *([tei.root_router, root.router] if root_routes else []),  # before the system's: it has /info too
        system.router,
        web.router,
        hub.router,  # last: a model's name may be any path
    ):
        # As they are: `include_router` builds each route anew, for 40 ms of an application's first requests.
        app.router.routes.extend(router.routes)


@cache
def _job_routers() -> tuple[APIRouter, ...]:
    """The same routes under each path of jobs. Built once: the tests make hundreds of applications."""
    modules = (jobs_routes, job_control, job_watch, job_artifacts)
    return tuple(routes.build_router(prefix, tag) for prefix, tag in _JOB_PATHS.items() for routes in modules)


@contextlib.asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    services: Services = app.state.services
    await services.pool.start()
    parts = (services.access, services.feed, services.webhooks, services.reconciler)
    background = [each for each in parts if each is not None]
    for each in background:
        await each.start()
    app.state.warming = warming = asyncio.create_task(_warm_up(services))
    try:
        yield
    finally:
        warming.cancel()
        services.inference.close()
        stops = asyncio.gather(
            warming,
            services.pool.stop(),
            services.inference.answers.close(),
            *(each.stop() for each in background),
            return_exceptions=True,
        )
        await _wait_briefly(stops)
        if services.settings.otel_endpoint:
            await asyncio.to_thread(stop_tracing)


async def _wait_briefly(stops: "asyncio.Future[list[Any]]") -> None:
    """Waits for all parts to stop, for at most `_STOP_SECONDS`. A thread that decodes cannot be interrupted."""
    await asyncio.wait([stops], timeout=_STOP_SECONDS)
    if not stops.done():
        _log.warning("threads are still busy %.0f s after the last request; the server does not wait", _STOP_SECONDS)
        return
    for error in stops.result():
        if isinstance(error, Exception):
            _log.error("a part of the server failed to stop", exc_info=error)


async def _warm_up(services: Services) -> None:
    """Loads the default model while the first requests are served. /ready reports the outcome."""
    try:
        default = await asyncio.to_thread(services.pool.default_id)
    except NotReady as error:
        _log.warning("%s", error.message)
        services.warm_up_error = None  # an empty store can still take jobs
        return
    except AppError as error:
        services.warm_up_error = f"the default model does not exist: {error.message}"
        _log.error("%s", services.warm_up_error)
        return
    try:
        await services.pool.get(default)
        services.warm_up_error = None
    except AppError as error:
        services.warm_up_error = f"the default model {default} does not load: {error.message}"
        _log.error("%s", services.warm_up_error)


def _build_checkers(settings: Settings) -> ProcessPool:
    """Builds the pool of processes that check the files of jobs, with a lower priority than inference."""
    return ProcessPool(_CHECKERS, ProcessLimits(settings.check_memory_bytes, settings.check_seconds, niceness=10))


def _add_middleware(app: FastAPI, services: Services) -> None:
    """Adds the middleware. The last one added is the outermost."""
    settings = services.settings
    if settings.cache != "off":
        app.add_middleware(CacheHeadersMiddleware)
    if services.placement is not None:
        app.add_middleware(ModelServersMiddleware, placement=services.placement)
    app.add_middleware(HeadMiddleware)
    bodies = BodyLimits(
        max_bytes=settings.max_body_bytes,
        total_bytes=settings.bodies_bytes,
        timeout=settings.body_timeout,
        by_path={"/v1/files": settings.max_file_bytes + _FORM_ROOM},
        streamed=_STREAMED,
    )
    app.add_middleware(BodyLimitMiddleware, limits=bodies)
    app.add_middleware(AdmissionMiddleware, refusal=services.pool.batcher.refusal)
    if services.access.audit is not None:
        app.add_middleware(AuditMiddleware, log=services.access.audit)
    if services.access.limiter is not None:
        app.add_middleware(KeyLimitMiddleware, limiter=services.access.limiter)
    app.add_middleware(ApiKeyMiddleware, guard=services.access.guard)
    app.add_middleware(
        OriginMiddleware,
        own=settings.host,
        allowed=settings.allowed_hosts,
        keys=bool(settings.api_keys) or settings.require_keys,
        origins=settings.cors_origins,
    )
    if settings.cors_origins:  # outside the keys: a browser sends none with its preflight request
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT"),
            allow_headers=("*",),
            allow_private_network=True,
            expose_headers=("*",),
        )
    app.add_middleware(MetricsMiddleware, metrics=services.metrics)
    app.add_middleware(RequestIdMiddleware, in_log=settings.log_format == "json")
    if settings.otel_endpoint:
        from app.api.middleware.tracing import TracingMiddleware  # needs the extra `otel`

        app.add_middleware(TracingMiddleware)
    if settings.access_log or settings.log_level == "debug":
        app.add_middleware(AccessLogMiddleware)
    app.add_middleware(PathMiddleware, root_path=settings.root_path or "")
