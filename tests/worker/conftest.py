import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from app.jobs.connection import Client, EmbeddedRedis
from app.jobs.files import FileStore
from app.jobs.kinds import JobState, PretrainingSpec
from app.jobs.retention import JobRetention
from app.jobs.spec import Job
from app.settings import Settings
from app.store.store import ModelStore
from app.worker.attempt import AttemptServices
from tests.fakes.jobs import JobSystem
from tests.fakes.redis import redis, redis_server
from tests.fakes.warm_starts import warm_starts

__all__ = ["redis", "redis_server"]


@dataclass(frozen=True)
class AllServices(AttemptServices):
    """The services of an attempt, and the other sides of the job system."""

    jobs: JobSystem
    retention: JobRetention


LEASE = 2.0  # seconds; on a busy machine a worker may be late with a beat


@pytest.fixture
def settings(tmp_path: Path, redis_server: EmbeddedRedis) -> Settings:
    return Settings(
        var_dir=tmp_path / "var",
        model_store=tmp_path / "models",
        redis_url=redis_server.url,
        lease_seconds=LEASE,
        crash_backoff_seconds=0.0,
        device="cpu",
        worker_nice=0,
    )


@pytest.fixture
def services(settings: Settings, redis: Client) -> "AllServices":
    files = FileStore(redis, settings.files_dir)
    jobs = JobSystem(redis, crash_backoff=0)
    store = ModelStore(settings.model_store)
    return AllServices(settings, jobs.queue, files, store, jobs=jobs, retention=jobs.retention)


@pytest.fixture
def submit(services: "AllServices") -> Callable[..., Job]:
    def create(**hyperparameters: Any) -> Job:
        file = asyncio.run(services.files.create("a.txt", "fine-tune", [b"some text"], 100))
        wishes = {"max_steps": 8, **hyperparameters}
        spec = PretrainingSpec(
            model="bert-tiny",
            method="mlm",
            hyperparameters=wishes,
            training_files=(file.id,),
            name="tiny",
            request={"model": "bert-tiny"},
        )
        return services.jobs.create(spec)

    return create


StartWorker = Callable[[], "subprocess.Popen[bytes]"]


@pytest.fixture(scope="session")
def warm_trainers() -> Iterator[dict[str, str]]:
    """Variables with which the processes of `tests.fakes.trainer` are forks."""
    imports = ("app.worker.attempt_main", "app.worker.pretraining", "tests.fakes.checkpoints")
    with warm_starts({"tests.fakes.trainer": imports}) as variables:
        yield variables


@pytest.fixture
def start_worker(settings: Settings, warm_trainers: dict[str, str]) -> Iterator[StartWorker]:
    """Starts worker processes; those still running at the end of the test are killed."""
    started = []
    environment = os.environ | {
        "CLOZE_VAR_DIR": str(settings.var_dir),
        "CLOZE_MODEL_STORE": str(settings.model_store),
        "CLOZE_REDIS_URL": str(settings.redis_url),
        "CLOZE_LEASE_SECONDS": str(settings.lease_seconds),
        "CLOZE_WORKER_NICE": "0",
        "CLOZE_CRASH_BACKOFF_SECONDS": str(settings.crash_backoff_seconds),
        "CLOZE_WORKER_THREADS": "1",
        **warm_trainers,
    }

    def start() -> "subprocess.Popen[bytes]":
        started.append(subprocess.Popen([sys.executable, "-m", "tests.fakes.worker"], env=environment))
        return started[-1]

    yield start
    for process in started:
        process.send_signal(signal.SIGKILL)
        process.wait()


WaitFor = Callable[..., Job]
PATIENCE = 120.0  # seconds, on a busy machine


@pytest.fixture
def wait_for(services: "AllServices") -> WaitFor:
    def wait(job: Job, *states: JobState, step: int = 0, attempt: int = 0) -> Job:
        """The job as soon as it is in one of the states, with a checkpoint at `step` or beyond, in that attempt."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            now = services.jobs.get(job.id)
            checkpoints, _ = services.jobs.checkpoints(job.id, limit=1)
            reached = (checkpoints[0].step if checkpoints else 0) >= step and now.attempt >= attempt
            if now.state in states and reached:
                return now
            time.sleep(0.02)
        raise AssertionError(f"after {PATIENCE} s: {now}")

    return wait
