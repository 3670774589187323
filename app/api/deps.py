"""Dependencies of routes: the services that main composed, and the checks that many routes share."""

from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request

from app.api.answer_size import AnswerRoom
from app.api.metrics import Metrics
from app.api.turns import ConcurrencyLimiter
from app.errors import InvalidValue, NotReady
from app.jobs.feed import EventFeed
from app.jobs.files import FileStore
from app.jobs.jobs import Jobs
from app.jobs.reconciler import ReconcilerLoop
from app.jobs.webhook_sender import WebhookSender
from app.serving.pool import EnginePool
from app.settings import Settings
from app.store.store import ModelStore
from app.system.disk_space import DiskReserve
from app.system.process_pool import ProcessPool


@dataclass
class Services:
    """The services of one application. Those that concern jobs are None if no Redis was in reach at the start."""

    settings: Settings
    metrics: Metrics
    store: ModelStore
    pool: EnginePool
    decoders: ProcessPool  # of the media of requests
    checkers: ProcessPool  # of jobs' files
    jobs: Jobs | None = None
    files: FileStore | None = None
    feed: EventFeed | None = None
    webhooks: WebhookSender | None = None
    reconciler: ReconcilerLoop | None = None
    reconstructing: ConcurrencyLimiter = field(
        default_factory=lambda: ConcurrencyLimiter(at_once=4, waiting=64, what="reconstructions")
    )
    checking: ConcurrencyLimiter = field(
        default_factory=lambda: ConcurrencyLimiter(at_once=2, waiting=16, what="requests that check files")
    )
    tokenizing: ConcurrencyLimiter = field(
        default_factory=lambda: ConcurrencyLimiter(at_once=2, waiting=64, what="tokenizations")
    )
    answers: AnswerRoom = field(default_factory=AnswerRoom)
    rendering: Executor = field(default_factory=lambda: ThreadPoolExecutor(2, thread_name_prefix="render"))
    fetching: Executor = field(default_factory=lambda: ThreadPoolExecutor(8, thread_name_prefix="fetch"))
    warm_up_error: str | None = "the default model is being loaded"  # None: ready

    def need_feed(self) -> EventFeed:
        """Raises NotReady where there is none."""
        if self.feed is None:
            raise NotReady(NO_REDIS)
        return self.feed

    def check_disk(self) -> None:
        """Raises InsufficientStorage if no more is free under `var_dir` than the reserve."""
        DiskReserve(self.settings.var_dir, self.settings.disk_reserve_bytes).check()

    def check_inputs(self, count: int) -> None:
        """Raises InvalidValue for more inputs than one request may hold."""
        limit = self.settings.max_request_inputs
        if count > limit:
            raise InvalidValue(f"`input` holds {count} inputs; one request may hold {limit}", param="input")

    def check_top_k(self, top_k: int, param: str = "top_k") -> None:
        limit = self.settings.max_top_k
        if top_k > limit:
            raise InvalidValue(f"`{param}` should be at most {limit}, not {top_k}", param=param)


# Coroutines, though none of them waits: what is none runs on a thread, which takes longer than all it does.


async def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


ServicesDep = Annotated[Services, Depends(_services)]


async def _jobs(services: ServicesDep) -> Jobs:
    if services.jobs is None:
        raise NotReady(NO_REDIS)
    return services.jobs


async def _files(services: ServicesDep) -> FileStore:
    if services.files is None:
        raise NotReady(NO_REDIS)
    return services.files


NO_REDIS = "files and jobs are not available: this server has found no Redis (`cloze serve` brings one)"

JobsDep = Annotated[Jobs, Depends(_jobs)]
FilesDep = Annotated[FileStore, Depends(_files)]
