"""A server without workers keeps its queue true."""

import time
from collections.abc import Callable
from pathlib import Path

from fastapi.testclient import TestClient

from app.jobs.connection import Client, EmbeddedRedis
from app.jobs.kinds import JobState
from app.jobs.spec import Job
from app.main import create_app
from app.settings import Settings
from app.store.store import ModelStore
from tests.fakes.jobs import JobSystem, make_spec

PATIENCE = 30.0  # seconds


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_deadlines_pass_and_silent_workers_lose_their_jobs(
    redis: Client, redis_server: EmbeddedRedis, jobs: JobSystem, store: ModelStore, tmp_path: Path
) -> None:
    claimed, late = jobs.create(make_spec(redis)), jobs.create(make_spec(redis, max_wall_minutes=0.001))
    claim = jobs.queue.claim("w1", 0.01)
    assert claim and claim.job_id == claimed.id
    settings = Settings(
        redis_url=redis_server.url, var_dir=tmp_path / "var", model_store=store.root, device="cpu", lease_seconds=0.5
    )

    def job(created: Job) -> Job:
        return jobs.get(created.id)

    with TestClient(create_app(settings, store=store)):
        wait_until(lambda: job(late).state is JobState.FAILED and job(claimed).state is JobState.QUEUED)
    error = job(late).error
    assert error and error.code == "deadline_exceeded"
    assert job(claimed).crashes == 1
