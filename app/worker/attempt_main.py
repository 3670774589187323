"""The process of an attempt around the work itself; imports no torch."""

import signal
from collections.abc import Sequence
from types import FrameType

from app import __version__
from app.jobs.connection import FOREVER, connect, find_url
from app.jobs.files import FileStore
from app.jobs.shared_files import open_shared_files
from app.jobs.worker_queue import Claim, WorkerQueue
from app.settings import Settings
from app.store.opening import open_store
from app.system.log_format import configure_logging
from app.system.priority import lower_priority
from app.telemetry.start import start_tracing, stop_tracing
from app.worker.attempt import AttemptRunner, AttemptServices, Execute

_QUICK = 2.0  # seconds that a training step may lose to one try to speak to Redis


def run_attempt(arguments: Sequence[str], execute: Execute) -> None:
    """arguments: the job's id and the number of the attempt. SIGTERM hands the job back."""
    draining = False

    def drain(signum: int, frame: FrameType | None) -> None:
        nonlocal draining
        draining = True

    signal.signal(signal.SIGTERM, drain)
    settings = Settings()
    claim = Claim(arguments[0], int(arguments[1]))
    configure_logging(settings.log_level, settings.log_format, job_id=claim.job_id, attempt=claim.attempt)
    lower_priority(settings.worker_nice)
    url = find_url(settings.redis_url, settings.var_dir)
    redis = connect(url, retries=FOREVER)  # an outage must not end a run of hours
    quick = WorkerQueue(connect(url, retries=1, timeout=_QUICK))
    files = FileStore(redis, settings.files_dir, shared=open_shared_files(settings.storage))
    services = AttemptServices(settings, WorkerQueue(redis), files, open_store(settings, keep=True))
    start_tracing(settings.otel_endpoint, settings.otel_sample_ratio, "cloze-trainer", __version__)
    try:
        AttemptRunner(services, claim, lambda: draining, quick=quick).run(execute)
    finally:
        stop_tracing()
