"""Redis away for longer than a lease, with real workers and a real Redis of the test's own."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.jobs.connection import FOREVER, Client, EmbeddedRedis, connect
from app.jobs.kinds import JobState
from app.jobs.spec import Job
from app.settings import Settings
from tests.worker.conftest import AllServices, StartWorker, WaitFor

LEASE = 0.5  # seconds


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[EmbeddedRedis]:
    with EmbeddedRedis(tmp_path / "redis") as server:
        yield server


@pytest.fixture
def redis(redis_server: EmbeddedRedis) -> Iterator[Client]:
    with connect(redis_server.url, retries=FOREVER) as client:
        yield client


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"lease_seconds": LEASE})


def test_an_outage_costs_no_attempt(
    redis_server: EmbeddedRedis,
    services: AllServices,
    submit: Callable[..., Job],
    start_worker: StartWorker,
    wait_for: WaitFor,
    capfd: pytest.CaptureFixture[str],
) -> None:
    start_worker(), start_worker()
    job = submit(hold_at=4)
    wait_for(job, JobState.RUNNING, step=4)
    redis_server.stop()
    time.sleep(3 * LEASE)  # the outage: the lease runs out, and nobody can renew it
    redis_server.start()
    (services.settings.jobs_dir / job.id / "go").touch()
    done = wait_for(job, JobState.SUCCEEDED)
    assert (done.attempt, done.crashes, done.result_model) == (1, 0, "tiny@1")
    steps = [e.message for e in services.jobs.events(job.id, limit=100)[0] if e.message.startswith("Step")]
    assert steps == [f"Step {n}" for n in range(1, 9)]
    told = capfd.readouterr().err.count("Redis does not answer, trying again")
    assert 1 <= told <= 4  # by each of the two, and again where its other connection finds out later
