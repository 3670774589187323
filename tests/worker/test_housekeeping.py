import os
import threading
from collections.abc import Callable

import pytest

from app.jobs.connection import Client
from app.jobs.indexes import FILES
from app.jobs.spec import Job
from app.worker.housekeeping import Housekeeping
from tests.fakes.checkpoints import leave_checkpoint
from tests.worker.conftest import AllServices

LONG_AGO = 1.0
KEEP = {"keep_events_days": 1, "keep_checkpoints_days": 1, "keep_files_days": 1}


def clean(services: AllServices, **settings: float) -> None:
    changed = services.settings.model_copy(update=settings)
    Housekeeping(services.queue, services.retention, services.files, changed).clean()


def test_what_is_old_goes_and_what_is_used_stays(
    services: AllServices, redis: Client, submit: Callable[..., Job]
) -> None:
    jobs, jobs_dir = services.jobs, services.settings.jobs_dir
    ended, recent, running = submit(), submit(), submit()
    for job in (ended, recent, running):
        claim = jobs.queue.claim("w1", 60)
        assert claim and claim.job_id == job.id
        leave_checkpoint(jobs, claim, jobs_dir, 10)
        (jobs_dir / job.id / "attempt-1.log").write_text("a line")
        if job is not running:
            jobs.queue.succeed(claim, "tiny@1")
    jobs.rewrite(ended.id, finished_at=LONG_AGO)
    for job in (ended, running):
        redis.zadd(FILES, {job.spec.training_files[0]: LONG_AGO})

    clean(services, keep_checkpoints_days=0)  # without limit, as the others are by default
    assert len(services.files.list()[0]) == 3 and jobs.checkpoints(ended.id)[0]
    clean(services, **KEEP)

    assert [p.name for p in (jobs_dir / ended.id).iterdir()] == []
    assert jobs.checkpoints(ended.id)[0] == [] and jobs.events(ended.id)[0] == []
    assert jobs.get(ended.id).result_model == "tiny@1"
    for job in (recent, running):
        assert jobs.checkpoints(job.id)[0] and jobs.events(job.id)[0]
        assert (jobs_dir / job.id / "checkpoints").exists() and (jobs_dir / job.id / "attempt-1.log").exists()
    assert {f.id for f in services.files.list()[0]} == {j.spec.training_files[0] for j in (recent, running)}


def test_a_retried_job_keeps_its_checkpoints(services: AllServices, submit: Callable[..., Job]) -> None:
    job = submit()
    claim = services.queue.claim("w1", 60)
    assert claim
    leave_checkpoint(services.jobs, claim, services.settings.jobs_dir, 10)
    services.jobs.cancel(job.id)
    services.queue.mark_cancelled(claim)
    services.jobs.retry(job.id)
    assert not services.retention.drop_checkpoints(job.id)
    assert services.jobs.checkpoints(job.id)[0]


def test_a_failing_disk_does_not_end_it(services: AllServices, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(age: float) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(services.files, "drop_unfinished", fail)
    ended = threading.Event()
    ended.set()
    Housekeeping(services.queue, services.retention, services.files, services.settings).run_until(ended)


def test_one_worker_at_a_time_keeps_house(services: AllServices) -> None:
    assert [services.retention.claim_period("housekeeping", 60) for _ in range(2)] == [True, False]


def test_uploads_that_were_never_finished_go_unasked(services: AllServices) -> None:
    left = services.settings.files_dir / ".tmp-file-1"
    left.mkdir(parents=True)
    os.utime(left, (LONG_AGO, LONG_AGO))
    clean(services)
    assert not left.exists()
