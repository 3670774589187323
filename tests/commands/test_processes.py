import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.commands.processes import WorkerProcesses
from tests.fakes.clock import Clock

SLEEPS = [sys.executable, "-c", "import signal; signal.pause()"]
# Opens the pipe once its handler is in place, so that the test knows that SIGTERM will not end it.
STUBBORN = """
import os, signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
open(os.environ["READY"], "w").close()
while True: signal.pause()
"""


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def workers(clock: Clock) -> Iterator[WorkerProcesses]:
    workers = WorkerProcesses(2, SLEEPS, os.environ, clock=clock)
    yield workers
    workers.stop()


def die(workers: WorkerProcesses) -> "subprocess.Popen[bytes]":
    process = workers.processes[0]
    process.kill()
    process.wait()
    return process


def test_a_dead_worker_is_restarted_after_a_pause(workers: WorkerProcesses, clock: Clock) -> None:
    dead, other = die(workers), workers.processes[1]
    workers.check()
    assert workers.processes[0] is dead
    clock.now += 1.0
    workers.check()
    assert workers.processes[0] is not dead
    assert workers.processes[0].poll() is None
    assert workers.processes[1] is other


def test_quick_deaths_lengthen_the_pause_and_a_long_life_resets_it(workers: WorkerProcesses, clock: Clock) -> None:
    pauses = []
    for lifetime in (1.0, 1.0, 1.0, 3600.0):
        clock.now += lifetime
        dead = die(workers)
        workers.check()
        died = clock.now
        while workers.processes[0] is dead:
            clock.now += 0.5
            workers.check()
        pauses.append(clock.now - died)
    assert pauses == [0.5, 1.0, 2.0, 0.5]


def test_stop_ends_all(workers: WorkerProcesses) -> None:
    workers.stop()
    assert [process.returncode for process in workers.processes] == [-signal.SIGTERM] * 2


def test_a_worker_that_does_not_stop_is_killed(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    os.mkfifo(ready)
    workers = WorkerProcesses(1, [sys.executable, "-c", STUBBORN], {**os.environ, "READY": str(ready)})
    ready.read_bytes()  # returns when the other end was opened and closed
    workers.stop(grace=0.05)
    assert workers.processes[0].returncode == -signal.SIGKILL


def test_no_workers() -> None:
    workers = WorkerProcesses(0, SLEEPS, os.environ)
    workers.check()
    workers.stop()
    assert workers.processes == []
