"""Dependencies of routes: the services that main composed, and the checks that many routes share."""

from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request

from app.access.audit import AuditLog
from app.access.build import Access
from app.access.key_store import KeyStore
from app.api.metrics import ServerMetrics
from app.api.middleware.api_keys import caller_of
from app.api.ownership import ModelRights, viewer_of
from app.api.placement import ModelPlacement
from app.errors import NotReady
from app.inference.service import Inference
from app.jobs.feed import EventFeed
from app.jobs.files import FileStore
from app.jobs.jobs import Jobs
from app.jobs.reconciler import ReconcilerLoop
from app.jobs.viewer import EVERYONE
from app.jobs.webhook_sender import WebhookSender
from app.publishing.publication import Publisher
from app.serving.pool import EnginePool
from app.settings import Settings
from app.store.store import ModelStore
from app.submission.job_control import JobControl
from app.submission.submission import SubmissionServices
from app.system.concurrency import ConcurrencyLimiter
from app.system.disk_space import DiskReserve
from app.system.process_pool import ProcessPool


@dataclass
class Services:
    """The services of one application. Those that concern jobs are None if no Redis was in reach at the start."""

    settings: Settings
    metrics: ServerMetrics
    store: ModelStore
    pool: EnginePool
    inference: Inference
    checkers: ProcessPool  # of jobs' files
    access: Access
    jobs: Jobs | None = None
    files: FileStore | None = None
    feed: EventFeed | None = None
    webhooks: WebhookSender | None = None
    reconciler: ReconcilerLoop | None = None
    checking: ConcurrencyLimiter = field(
        default_factory=lambda: ConcurrencyLimiter(at_once=2, waiting=16, what="requests that check files")
    )
    placement: ModelPlacement | None = None  # None: each server has its own models
    draining: bool = False  # the server is to stop soon
    warm_up_error: str | None = "the default model is being loaded"  # None: ready

    def need_feed(self) -> EventFeed:
        """Raises NotReady where there is none."""
        if self.feed is None:
            raise NotReady(NO_REDIS)
        return self.feed


# Coroutines, although none of them waits: FastAPI runs plain functions on threads, and the switch takes longer.


async def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


ServicesDep = Annotated[Services, Depends(_services)]


async def _inference(request: Request) -> Inference:
    inference: Inference = request.app.state.services.inference
    return inference


async def _jobs(request: Request, services: ServicesDep) -> Jobs:
    if services.jobs is None:
        raise NotReady(NO_REDIS)
    viewer = viewer_of(request.scope)
    return services.jobs if viewer is EVERYONE else services.jobs.seen_by(viewer)


async def _files(request: Request, services: ServicesDep) -> FileStore:
    if services.files is None:
        raise NotReady(NO_REDIS)
    viewer = viewer_of(request.scope)
    return services.files if viewer is EVERYONE else services.files.seen_by(viewer)


async def _rights(request: Request, services: ServicesDep) -> ModelRights:
    return ModelRights(caller_of(request.scope), services.store)


async def _keys(services: ServicesDep) -> KeyStore:
    if services.access.keys is None:
        raise NotReady("keys are not available: this server has found no Redis (`cloze serve` brings one)")
    return services.access.keys


async def _audit(services: ServicesDep) -> AuditLog:
    if services.access.audit is None:
        raise NotReady("the log of changes is not available: this server has found no Redis")
    return services.access.audit


NO_REDIS = "files and jobs are not available: this server has found no Redis (`cloze serve` brings one)"

InferenceDep = Annotated[Inference, Depends(_inference)]
RightsDep = Annotated[ModelRights, Depends(_rights)]
AuditDep = Annotated[AuditLog, Depends(_audit)]
KeysDep = Annotated[KeyStore, Depends(_keys)]
JobsDep = Annotated[Jobs, Depends(_jobs)]
FilesDep = Annotated[FileStore, Depends(_files)]


async def _job_control(services: ServicesDep, jobs: JobsDep, files: FilesDep) -> JobControl:
    settings = services.settings
    publisher = Publisher(services.store, files, settings.jobs_dir)
    disk = DiskReserve(settings.var_dir, settings.disk_reserve_bytes)
    return JobControl(jobs, services.store, publisher, disk, settings.jobs_dir)


ControlDep = Annotated[JobControl, Depends(_job_control)]


async def _submission_services(services: ServicesDep, jobs: JobsDep, files: FilesDep) -> SubmissionServices:
    return SubmissionServices(
        settings=services.settings,
        store=services.store,
        jobs=jobs,
        files=files,
        checkers=services.checkers,
        admit_check=services.checking.hold,
    )


SubmissionDep = Annotated[SubmissionServices, Depends(_submission_services)]
