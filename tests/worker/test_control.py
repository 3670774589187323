"""What users ask of jobs, with real workers and real trainer processes; only the training is fake."""

import os
import signal
from collections.abc import Callable

from app.jobs.kinds import JobState
from app.jobs.spec import Job
from tests.worker.conftest import AllServices, StartWorker, WaitFor

Submit = Callable[..., Job]


def test_a_paused_job_frees_its_worker_and_resumes_where_it_was(
    services: AllServices, submit: Submit, start_worker: StartWorker, wait_for: WaitFor
) -> None:
    start_worker()
    job = submit(hold_at=4)
    wait_for(job, JobState.RUNNING, step=4)
    services.jobs.pause(job.id)
    paused = wait_for(job, JobState.PAUSED)
    assert (paused.lease_until, paused.worker) == (None, None)
    wait_for(submit(), JobState.SUCCEEDED)
    (services.settings.jobs_dir / job.id / "go").touch()
    services.jobs.resume(job.id)
    done = wait_for(job, JobState.SUCCEEDED)
    assert (done.attempt, done.crashes) == (2, 0)
    steps = [e.message for e in services.jobs.events(job.id, limit=100)[0] if e.message.startswith("Step")]
    assert steps == [f"Step {n}" for n in range(1, 9)]


def test_a_cancelled_job_publishes_its_last_checkpoint_and_can_be_retried(
    services: AllServices, submit: Submit, start_worker: StartWorker, wait_for: WaitFor
) -> None:
    start_worker()
    job = submit(hold_at=4)
    wait_for(job, JobState.RUNNING, step=4)
    services.jobs.cancel(job.id, publish=True)
    assert wait_for(job, JobState.CANCELLED).result_model == "tiny@1"
    assert (services.store.resolve("tiny@1").path / "model.safetensors").read_bytes() == b"weights of step 4"
    (services.settings.jobs_dir / job.id / "go").touch()
    services.jobs.retry(job.id)
    done = wait_for(job, JobState.SUCCEEDED)
    assert (done.result_model, done.retries, done.attempt) == ("tiny@2", 1, 2)


def test_a_worker_that_dies_while_cancelling_leaves_the_publication_to_another(
    services: AllServices, submit: Submit, start_worker: StartWorker, wait_for: WaitFor
) -> None:
    worker = start_worker()
    job = submit(hold_at=4)
    wait_for(job, JobState.RUNNING, step=4)
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()
    services.jobs.cancel(job.id, publish=True)
    start_worker()
    assert wait_for(job, JobState.CANCELLED).result_model == "tiny@1"


def test_an_extended_job_publishes_the_next_version(
    services: AllServices, submit: Submit, start_worker: StartWorker, wait_for: WaitFor
) -> None:
    start_worker()
    job = submit()
    wait_for(job, JobState.SUCCEEDED)
    services.jobs.extend(job.id, {"max_steps": 12}, {"max_steps": 12})
    done = wait_for(job, JobState.SUCCEEDED, step=12)
    assert (done.result_model, done.progress.step) == ("tiny@2", 12)
    assert services.store.resolve("tiny@2").manifest.parents == ("tiny@1",)


def test_a_late_job_is_stopped_and_keeps_its_checkpoint(
    services: AllServices, submit: Submit, start_worker: StartWorker, wait_for: WaitFor
) -> None:
    start_worker()
    job = submit(hold_at=4)
    held = wait_for(job, JobState.RUNNING, step=4)
    services.jobs.rewrite(job.id, deadline=held.created_at)
    failed = wait_for(job, JobState.FAILED)
    assert failed.error and failed.error.code == "deadline_exceeded"
    assert services.jobs.checkpoints(job.id)[0][0].step == 4
    assert services.store.list() == []
