"""Real workers, real trainer processes, a real Redis; only the training is fake."""

import os
import signal
import threading
from collections.abc import Callable

from app.jobs.connection import Client, StorageError
from app.jobs.kinds import JobState
from app.jobs.spec import Job
from app.jobs.workers import WorkerRegistry
from app.worker.worker import repeat_until
from tests.fakes.cloze import wait_until
from tests.worker.conftest import PATIENCE, AllServices, StartWorker, WaitFor

Submit = Callable[..., Job]


def trainer_pid(services: AllServices, job: Job) -> int:
    """The process that holds the job's lock."""
    inode = (services.settings.jobs_dir / job.id / "lock").stat().st_ino
    with open("/proc/locks") as locks:
        return next(int(line.split()[4]) for line in locks if line.split()[5].endswith(f":{inode}"))


def is_alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def messages(services: AllServices, job: Job) -> list[str]:
    return [e.message for e in services.jobs.events(job.id, limit=100)[0]]


def test_a_job_runs_and_its_model_is_published(
    services: AllServices, submit: Submit, start_worker: StartWorker, wait_for: WaitFor
) -> None:
    start_worker()
    first, second = submit(), submit()
    done = wait_for(first, JobState.SUCCEEDED)
    assert wait_for(second, JobState.SUCCEEDED).result_model == "tiny@2"
    assert (done.result_model, done.attempt, done.progress.tokens) == ("tiny@1", 1, 800)
    entry = services.store.resolve("tiny@1")
    assert entry.manifest.job_id == first.id
    card = (entry.path / "README.md").read_text()
    assert services.files.get(first.spec.training_files[0]).sha256 in card
    assert messages(services, first)[-1] == "The job succeeded: published tiny@1"


def test_a_killed_worker_takes_its_trainer_along_and_another_resumes(
    services: AllServices, redis: Client, submit: Submit, start_worker: StartWorker, wait_for: WaitFor
) -> None:
    worker, job = start_worker(), submit(hold_at=4)
    before = wait_for(job, JobState.RUNNING, step=4)
    trainer = trainer_pid(services, job)
    start_worker()
    worker.send_signal(signal.SIGKILL)
    (services.settings.jobs_dir / job.id / "go").touch()
    worker.wait()
    done = wait_for(job, JobState.SUCCEEDED)
    wait_until(lambda: not is_alive(trainer))
    assert (done.attempt, done.worker != before.worker, done.result_model) == (2, True, "tiny@1")
    steps = [m for m in messages(services, job) if m.startswith("Step")]
    assert steps == [f"Step {n}" for n in range(1, 9)]


def test_a_worker_told_to_stop_hands_its_job_back(
    services: AllServices, redis: Client, submit: Submit, start_worker: StartWorker, wait_for: WaitFor
) -> None:
    worker, job = start_worker(), submit(hold_at=4)
    wait_for(job, JobState.RUNNING, step=4)
    wait_until(lambda: WorkerRegistry(redis).list() != [])  # a thread of its own beats
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(PATIENCE) == 0
    back = services.jobs.get(job.id)
    assert (back.state, back.crashes, back.worker, back.queue_position) == (JobState.QUEUED, 0, None, 0)
    assert WorkerRegistry(redis).list() == []
    (services.settings.jobs_dir / job.id / "go").touch()
    start_worker()
    assert wait_for(job, JobState.SUCCEEDED).attempt == 2


def test_an_idle_worker_stops_at_once(
    services: AllServices, submit: Submit, start_worker: StartWorker, wait_for: WaitFor
) -> None:
    worker = start_worker()
    wait_for(submit(), JobState.SUCCEEDED)
    worker.send_signal(signal.SIGINT)
    assert worker.wait(PATIENCE) == 0


def test_cancelling_stops_a_running_job(
    services: AllServices, submit: Submit, start_worker: StartWorker, wait_for: WaitFor
) -> None:
    start_worker()
    job = submit(hold_at=4)
    wait_for(job, JobState.RUNNING, step=4)
    services.jobs.cancel(job.id)
    assert wait_for(job, JobState.CANCELLED).result_model is None
    assert services.jobs.checkpoints(job.id)[0][0].step == 4
    assert services.store.list() == []
    wait_for(submit(), JobState.SUCCEEDED)


def test_a_trainer_that_dies_is_tried_again_then_failed_with_its_last_lines(
    submit: Submit, start_worker: StartWorker, wait_for: WaitFor
) -> None:
    start_worker()
    failed = wait_for(submit(kill_at=3), JobState.FAILED)
    assert (failed.attempt, failed.crashes) == (3, 3)
    assert failed.error and failed.error.code == "poisoned"
    assert "SIGKILL" in failed.error.message and "about to die" in failed.error.message


def test_a_wake_up_that_was_lost_is_no_harm(
    services: AllServices, submit: Submit, start_worker: StartWorker, wait_for: WaitFor
) -> None:
    job = submit()
    services.jobs.lose_wakeups()
    start_worker()
    wait_for(job, JobState.SUCCEEDED)


def test_a_suspended_worker_that_comes_back_finds_its_job_lost(
    services: AllServices, submit: Submit, start_worker: StartWorker, wait_for: WaitFor
) -> None:
    worker, job = start_worker(), submit(hold_at=4)
    before = wait_for(job, JobState.RUNNING, step=4)
    trainer = trainer_pid(services, job)
    os.kill(worker.pid, signal.SIGSTOP)
    os.kill(trainer, signal.SIGSTOP)
    start_worker()
    # The new attempt waits for the lock that the frozen trainer holds; nothing of it runs twice.
    wait_for(job, JobState.RUNNING, attempt=before.attempt + 1)
    (services.settings.jobs_dir / job.id / "go").touch()
    os.kill(worker.pid, signal.SIGCONT)
    os.kill(trainer, signal.SIGCONT)
    done = wait_for(job, JobState.SUCCEEDED)
    assert done.attempt >= 2
    assert [e.id for e in services.store.list()] == ["tiny@1"]


def test_a_beat_that_fails_is_not_the_last() -> None:
    ended, beats, outages = threading.Event(), [], []

    def beat() -> None:
        beats.append(len(beats))
        if len(beats) == 1:
            raise KeyError("a record that is not understood")
        if len(beats) == 2:
            raise StorageError("Redis is away")
        ended.set()

    repeat_until(ended, 0.01, beat, lambda error: outages.append(error is not None))
    assert (beats, outages) == ([0, 1, 2], [True, False])
