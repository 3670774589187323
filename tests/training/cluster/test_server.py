"""The conversation of a run's processes with the process of its attempt, without a cluster."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from itertools import count
from multiprocessing.connection import Client, Connection
from pathlib import Path
from typing import Any

import pytest

from app.errors import InvalidData
from app.training.cluster.client import connect_hooks, report_life
from app.training.cluster.messages import Refused, SignIn, prove_key
from app.training.cluster.server import RunServer
from app.training.hooks import Killed, Stopped
from tests.fakes.runs import Recorder

KEY = b"k" * 32


class Processes:
    """Threads in the place of processes. exit_process: takes the statuses with which they would have ended."""

    def __init__(self, server: RunServer, exit_process: Callable[[int], object] = os._exit) -> None:
        self.server, self.exit_process = server, exit_process
        self.started: list[threading.Thread] = []

    def start(self, rank: int, work: Callable[[], Any]) -> None:
        def run() -> None:
            with suppress(BaseException):
                report_life(self.server.address, KEY, rank, work, exit_process=self.exit_process)

        self.started.append(threading.Thread(target=run, daemon=True))
        self.started[-1].start()

    def join(self) -> None:
        for thread in self.started:
            thread.join(30)
            assert not thread.is_alive()


@pytest.fixture
def hooks() -> Recorder:
    return Recorder()


@pytest.fixture
def processes(hooks: Recorder) -> Iterator[Processes]:
    with RunServer(hooks, 2, "127.0.0.1", KEY) as server:
        yield Processes(server)


def fail(error: BaseException) -> Callable[[], None]:
    def work() -> None:
        raise error

    return work


def test_hooks_are_called_in_the_process_of_the_attempt(hooks: Recorder, processes: Processes) -> None:
    address = processes.server.address

    def train() -> str:
        with connect_hooks(address, KEY) as remote:
            remote.on_event("hello", {"step": 1}, kind="metrics")
            remote.on_checkpoint(3, Path("a"), {})
            assert remote.should_stop() is None and remote.can_save()
            hooks.stop_at = 0
            return f"stopped: {remote.should_stop()}"

    processes.start(0, train)
    processes.start(1, lambda: None)
    assert processes.server.wait() == "stopped: cancel"
    assert (hooks.events, hooks.checkpoints) == ([("hello", {"step": 1})], [3])
    processes.join()


@pytest.mark.parametrize("error", [InvalidData("empty file", param="training_file"), Stopped("pause")])
def test_an_error_with_a_meaning_reaches_the_attempt(processes: Processes, error: Exception) -> None:
    processes.start(0, fail(RuntimeError("connection closed by peer")))  # as the other one's end looks to it
    processes.start(1, fail(error))
    with pytest.raises(type(error)) as raised:
        processes.server.wait()
    assert raised.value.args == error.args and vars(raised.value) == vars(error)


def sign_in(server: RunServer, rank: int) -> Connection:
    connection = Client(server.address)
    prove_key(connection, KEY)
    connection.send(SignIn(rank, calls_hooks=False))
    return connection


def test_a_process_that_vanishes_counts_as_killed(processes: Processes) -> None:
    sign_in(processes.server, rank=1).close()
    with pytest.raises(Killed, match="rank 1"):
        processes.server.wait()


def test_a_silent_process_counts_as_killed(hooks: Recorder) -> None:
    times = count(step=0.1)
    clock = partial(next, times)
    with (
        RunServer(hooks, 1, "127.0.0.1", KEY, clock=clock, silent_seconds=10, poll_seconds=0.001) as server,
        sign_in(server, rank=0),
        pytest.raises(Killed, match="rank 0 was silent"),
    ):
        server.wait()


def test_a_run_that_waits_for_its_processes_can_be_stopped(hooks: Recorder, processes: Processes) -> None:
    hooks.stop_at = 0
    with pytest.raises(Stopped, match="cancel"):
        processes.server.wait()


def test_strangers_are_refused(processes: Processes) -> None:
    with Client(processes.server.address) as stranger, pytest.raises((Refused, EOFError, OSError)):
        prove_key(stranger, b"another key")
    with Client(processes.server.address) as stranger:
        first = stranger.recv_bytes(32)
        stranger.send_bytes(first)  # a mirror of what the server sends
        stranger.send_bytes(stranger.recv_bytes(32))
        with pytest.raises((EOFError, OSError)):
            stranger.recv()


def test_a_process_ends_with_the_attempt(hooks: Recorder) -> None:
    began, ended = threading.Event(), threading.Event()

    def work() -> None:
        began.set()
        ended.wait()

    with RunServer(hooks, 1, "127.0.0.1", KEY) as server:
        processes = Processes(server, exit_process=lambda status: ended.set())
        processes.start(0, work)
        began.wait()
    processes.join()
    assert ended.is_set()
