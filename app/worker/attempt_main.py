"""The process of an attempt around the training itself; imports no torch."""

import logging
import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType

from app.jobs.connection import FOREVER, connect, find_url
from app.jobs.files import FileStore
from app.jobs.jobs import Claim, Jobs
from app.settings import Settings
from app.store.store import ModelStore
from app.worker.attempt import Attempt, Services, Train

_AUTOGROUP = Path("/proc/self/autogroup")
_QUICK = 2.0  # seconds that a training step may lose to one try to speak to Redis


def run_attempt(arguments: Sequence[str], train: Train) -> None:
    """arguments: the job's id and the number of the attempt. SIGTERM hands the job back."""
    draining = False

    def drain(signum: int, frame: FrameType | None) -> None:
        nonlocal draining
        draining = True

    signal.signal(signal.SIGTERM, drain)
    settings = Settings()
    logging.basicConfig(level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    be_nice(settings.worker_nice)
    url = find_url(settings.redis_url, settings.var_dir)
    redis = connect(url, retries=FOREVER)  # an outage must not end a run of hours
    quick = Jobs(connect(url, retries=1, timeout=_QUICK))
    services = Services(settings, Jobs(redis), FileStore(redis, settings.files_dir), ModelStore(settings.model_store))
    claim = Claim(arguments[0], int(arguments[1]))
    Attempt(services, claim, lambda: draining, quick=quick).run(train)


def be_nice(niceness: int) -> None:
    """Yields the processor to what else runs here. The process must have a session of its own.

    Linux shares the processor among sessions first and heeds niceness only within one (`autogroup` in
    sched(7)), so the session is made as nice as the process.
    """
    os.nice(niceness)
    with suppress(OSError):  # a kernel without autogroups
        _AUTOGROUP.write_text(str(niceness))
