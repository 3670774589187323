"""The services of jobs and files, which need a Redis."""

import logging

from app.api.deps import Services
from app.errors import InvalidValue, NotReady
from app.jobs.connection import connect, find_url
from app.jobs.feed import EventFeed
from app.jobs.files import FileStore
from app.jobs.jobs import Jobs
from app.jobs.kinds import Webhook
from app.jobs.overview import JobsOverview
from app.jobs.reconciler import Reconciler, ReconcilerLoop
from app.jobs.shared_files import open_shared_files
from app.jobs.webhook_sender import WebhookSender
from app.jobs.webhooks import signing_key
from app.jobs.worker_queue import WorkerQueue
from app.settings import Settings
from app.system.disk_space import DiskReserve

_IMPATIENT_TIMEOUT = 2.0  # seconds of one Redis call

_log = logging.getLogger(__name__)


def find_redis(settings: Settings) -> str | None:
    """Returns the address of Redis; None if there is none yet."""
    try:
        return find_url(settings.redis_url, settings.var_dir)
    except NotReady as error:
        _log.warning("files, jobs and keys are not available: %s", error.message)
        return None


def connect_jobs(services: Services, url: str | None) -> None:
    """Adds the services of jobs, if there is a Redis. Raises InvalidValue for a wrong webhook of the operator."""
    settings = services.settings
    operator = _operator(settings)
    if url is None:
        return
    redis = connect(url)
    services.jobs = Jobs(
        redis,
        idempotency_seconds=int(settings.idempotency_hours * 3600),
        overview=JobsOverview(connect(url, retries=0, timeout=_IMPATIENT_TIMEOUT)),  # a scrape must not wait
    )
    reserve = DiskReserve(settings.var_dir, settings.disk_reserve_bytes)
    shared = open_shared_files(settings.storage, check=True)
    services.files = FileStore(redis, settings.files_dir, reserve, shared=shared)
    services.feed = EventFeed(url)
    # A connection with a short timeout: the reconciler repeats failed work in its next round.
    impatient = connect(url, retries=1, timeout=_IMPATIENT_TIMEOUT)
    queue = WorkerQueue(impatient, crash_backoff=settings.crash_backoff_seconds)
    services.reconciler = ReconcilerLoop(Reconciler(queue, settings.jobs_dir, settings.lease_seconds))
    services.webhooks = WebhookSender(url, operator, allow_private=settings.webhook_allow_private)


def _operator(settings: Settings) -> Webhook | None:
    """Returns the operator's webhook, if it is set. Raises InvalidValue for a secret that cannot sign."""
    if not settings.webhook_url or not settings.webhook_secret:
        return None
    try:
        signing_key(settings.webhook_secret)
    except ValueError as e:
        raise InvalidValue(f"CLOZE_WEBHOOK_SECRET: {e}") from e
    return Webhook(url=settings.webhook_url, secret=settings.webhook_secret)
