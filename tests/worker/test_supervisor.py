"""Trainers that do not do as they are told."""

import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.jobs.kinds import JobState
from app.jobs.logs import last_lines
from app.jobs.spec import Job
from app.jobs.worker_queue import Claim
from app.worker.supervisor import Supervisor
from tests.fakes.clock import Clock
from tests.worker.conftest import AllServices

DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"


def supervise(
    services: AllServices, submit: Callable[..., Job], script: str, **options: Any
) -> tuple[Supervisor, Claim]:
    submit()
    claim = services.queue.claim("w1", 60)
    assert claim is not None
    command = [sys.executable, "-S", "-c", script]
    values: dict[str, Any] = {"stopping": lambda: False, **options}
    return Supervisor(services.queue, claim, services.settings.jobs_dir, command, os.environ, **values), claim


def test_one_that_does_not_drain_is_killed(services: AllServices, submit: Callable[..., Job]) -> None:
    supervision, claim = supervise(services, submit, DEAF, stopping=lambda: True, drain_seconds=0.2)
    supervision.run()
    job = services.jobs.get(claim.job_id)
    assert (job.state, job.crashes) == (JobState.QUEUED, 0)


def test_one_that_does_not_cancel_is_killed(services: AllServices, submit: Callable[..., Job]) -> None:
    supervision, claim = supervise(services, submit, DEAF, cancel_seconds=0.2)
    services.jobs.cancel(claim.job_id)
    supervision.beat(60)
    supervision.run()
    assert services.jobs.get(claim.job_id).state is JobState.CANCELLED


def test_one_whose_job_is_lost_is_killed(services: AllServices, submit: Callable[..., Job]) -> None:
    supervision, claim = supervise(services, submit, DEAF)
    services.queue.requeue(claim, "The worker went silent", crashed=True)
    supervision.beat(60)
    supervision.run()
    job = services.jobs.get(claim.job_id)
    assert (job.state, job.crashes) == (JobState.QUEUED, 1)


def test_one_whose_pause_is_taken_back_goes_on(services: AllServices, submit: Callable[..., Job]) -> None:
    clock = Clock()
    supervision, claim = supervise(services, submit, DEAF, cancel_seconds=120, clock=clock)
    asks = [services.jobs.pause, services.jobs.resume, *[services.jobs.get] * 8]

    class Trainer:
        was_killed = False

        def poll(self) -> int | None:
            return None if asks else 0

        def wait(self, timeout: float) -> None:  # a minute and a beat
            asks.pop(0)(claim.job_id)
            supervision.beat(60)
            clock.now += 60

        def kill(self) -> None:
            self.was_killed = True

    trainer = Trainer()
    assert not supervision.watch(trainer)  # type: ignore[arg-type]
    assert not trainer.was_killed


KILLED = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"


def crash(services: AllServices, submit: Callable[..., Job], kills: list[int | None]) -> Job:
    """The job after a trainer that is killed; kills: what the kernel's counter says before and after."""
    counter = iter(kills)
    supervision, claim = supervise(services, submit, KILLED, oom_kills=lambda: next(counter))
    supervision.run()
    return services.jobs.get(claim.job_id)


def test_one_that_the_kernel_kills_ran_out_of_memory(services: AllServices, submit: Callable[..., Job]) -> None:
    job = crash(services, submit, [3, 4])
    assert (job.state, job.crashes, job.memory_kills) == (JobState.QUEUED, 1, 1)
    message = services.jobs.events(job.id, order="desc")[0][0].message
    assert message.startswith("Memory ran out: the kernel killed the process of the job")


@pytest.mark.parametrize(
    ("kills", "message"),
    [
        ([3, 3], "was killed by SIGKILL; queued"),
        ([None, None], "most likely the kernel did, as memory ran out; queued"),
    ],
)
def test_one_that_is_killed_for_another_reason(
    services: AllServices, submit: Callable[..., Job], kills: list[int | None], message: str
) -> None:
    job = crash(services, submit, kills)
    assert (job.crashes, job.memory_kills) == (1, 0)
    assert message in services.jobs.events(job.id, order="desc")[0][0].message


def test_the_last_error_tells_of_memory(services: AllServices, submit: Callable[..., Job]) -> None:
    submit()
    for _ in range(3):
        claim = services.queue.claim("w1", 60)
        assert claim
        counter = iter([0, 1])
        command = [sys.executable, "-S", "-c", KILLED]
        Supervisor(
            services.queue,
            claim,
            services.settings.jobs_dir,
            command,
            os.environ,
            lambda: False,
            oom_kills=lambda counter=counter: next(counter),
        ).run()
    failed = services.jobs.get(claim.job_id)
    assert failed.error and (failed.error.code, failed.error.type) == ("out_of_memory", "user_error")
    assert failed.memory_kills == 3 and "smaller model" in failed.error.message


def test_one_that_ends_without_a_word_is_a_crash(services: AllServices, submit: Callable[..., Job]) -> None:
    supervision, claim = supervise(services, submit, "import sys; sys.exit('no memory')")
    supervision.run()
    assert services.jobs.get(claim.job_id).crashes == 1
    assert "ended with status 1" in services.jobs.events(claim.job_id, order="desc")[0][0].message
    assert last_lines(services.settings.jobs_dir / claim.job_id / "attempt-1.log") == "no memory"


def test_one_whose_job_is_deleted_as_it_ends(services: AllServices, submit: Callable[..., Job]) -> None:
    supervision, claim = supervise(services, submit, DEAF)
    services.queue.succeed(claim, "tiny@1")
    services.jobs.delete(claim.job_id)
    supervision.beat(60)
    supervision.run()
    assert services.jobs.list() == ([], False)


def test_a_disk_that_has_no_room_for_the_log_fails_the_job(
    services: AllServices, submit: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    supervision, claim = supervise(services, submit, DEAF)

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "mkdir", full)
        supervision.run()
    job = services.jobs.get(claim.job_id)
    assert job.state is JobState.FAILED
    assert job.error and job.error.code == "insufficient_storage"
