import asyncio
import threading
from pathlib import Path

import pytest

from app.jobs.connection import Client, StorageError
from app.jobs.kinds import JobState
from app.jobs.reconciler import Reconciler, ReconcilerLoop
from app.jobs.worker_queue import Claim
from tests.fakes.clock import Clock
from tests.fakes.jobs import JobSystem, make_spec

LEASE = 10.0


@pytest.fixture
def clock() -> Clock:
    return Clock(5000.0)


@pytest.fixture
def jobs(redis: Client) -> JobSystem:
    return JobSystem(redis, crash_backoff=0)


@pytest.fixture
def reconciler(jobs: JobSystem, clock: Clock, tmp_path: Path) -> Reconciler:
    return Reconciler(jobs.queue, tmp_path, LEASE, clock=clock)


@pytest.fixture
def silent(jobs: JobSystem, redis: Client) -> Claim:
    """A claim whose lease has run out."""
    jobs.create(make_spec(redis))
    claim = jobs.queue.claim("w1", -1.0)
    assert claim
    return claim


def rounds(reconciler: Reconciler, clock: Clock, seconds: float) -> None:
    for _ in range(round(seconds / 2)):
        reconciler.run()
        clock.now += 2.0


def state(jobs: JobSystem, claim: Claim) -> JobState:
    return jobs.get(claim.job_id).state


def test_a_worker_has_the_time_of_a_lease_to_come_back(
    jobs: JobSystem, reconciler: Reconciler, clock: Clock, silent: Claim
) -> None:
    rounds(reconciler, clock, LEASE)
    assert state(jobs, silent) is JobState.RUNNING
    reconciler.run()
    assert state(jobs, silent) is JobState.QUEUED


@pytest.mark.parametrize("gap", ["an error", "a late answer"])
def test_after_a_gap_it_waits_again(
    jobs: JobSystem, reconciler: Reconciler, clock: Clock, redis: Client, monkeypatch: pytest.MonkeyPatch, gap: str
) -> None:
    rounds(reconciler, clock, 2 * LEASE)
    if gap == "an error":
        with monkeypatch.context() as patch:
            patch.setattr(jobs.queue, "reconcile", raise_error)
            with pytest.raises(StorageError):
                reconciler.run()
    else:
        clock.now += 0.6 * LEASE
    jobs.create(make_spec(redis))
    claim = jobs.queue.claim("w1", -1.0)
    assert claim
    rounds(reconciler, clock, LEASE)
    assert state(jobs, claim) is JobState.RUNNING
    reconciler.run()
    assert state(jobs, claim) is JobState.QUEUED


def raise_error(*_: object, **__: object) -> None:
    raise StorageError("gone")


def test_whoever_is_back_in_time_keeps_it(jobs: JobSystem, reconciler: Reconciler, clock: Clock, silent: Claim) -> None:
    rounds(reconciler, clock, LEASE / 2)
    jobs.queue.heartbeat(silent, 60.0)
    rounds(reconciler, clock, 2 * LEASE)
    assert (state(jobs, silent), jobs.get(silent.job_id).attempt) == (JobState.RUNNING, 1)


def test_a_dead_worker_is_not_waited_for(jobs: JobSystem, reconciler: Reconciler, silent: Claim) -> None:
    reconciler.run(["w1"])
    assert state(jobs, silent) is JobState.QUEUED


def test_a_round_that_fails_is_not_the_last() -> None:
    came_back = threading.Event()

    class Failing:
        interval = 0.0
        rounds = 0

        def repair_indexes(self) -> None:
            pass

        def run(self) -> None:
            self.rounds += 1
            if self.rounds == 1:
                raise KeyError("a record that is not understood")
            came_back.set()

    async def scenario() -> bool:
        loop = ReconcilerLoop(Failing())  # type: ignore[arg-type]
        await loop.start()
        found = await asyncio.to_thread(came_back.wait, 30)
        await loop.stop()
        return found

    assert asyncio.run(scenario())
