"""Calls in child processes: what comes back, and what becomes of processes that crash, hang or swell."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from app.errors import AppError, Busy, InvalidData, NotReady, TooLarge
from app.system.pool_process import MIB, ProcessLimits
from app.system.process_pool import ProcessPool
from tests.fakes.faults import (
    WAIT,
    be_busy,
    begun,
    crash,
    damage,
    hang,
    has_ended,
    leave,
    refuse,
    stumble,
    swell,
    touch_and_sleep,
)

LIMITS = ProcessLimits(memory_bytes=512 * MIB, seconds=1.0)


@pytest.fixture(scope="module")
def pool() -> Iterator[ProcessPool]:
    with ProcessPool(1, LIMITS) as pool:
        yield pool


def result(pool: ProcessPool, function: Callable[[], object]) -> object:
    return pool.submit(function).result(WAIT)


def test_calls_run_in_a_process_that_is_used_again(pool: ProcessPool) -> None:
    first = result(pool, os.getpid)
    assert first != os.getpid()
    assert result(pool, os.getpid) == first


def test_arrays_come_back_as_they_were_and_can_be_written(pool: ProcessPool) -> None:
    made = result(pool, partial(np.arange, 3_000_000, dtype=np.float32))
    assert isinstance(made, np.ndarray)
    made[0] = 5
    assert (made.dtype, made.shape, made[-1]) == (np.float32, (3_000_000,), 2_999_999)
    assert result(pool, partial(np.sum, np.ones((1000, 1000)))) == 1e6
    assert np.array_equal(result(pool, partial(np.transpose, np.arange(6).reshape(2, 3))), [[0, 3], [1, 4], [2, 5]])


def test_errors_of_the_user_come_back_whole(pool: ProcessPool) -> None:
    with pytest.raises(InvalidData) as refused:
        result(pool, partial(refuse, "no picture", "input"))
    assert (refused.value.message, refused.value.param) == ("no picture", "input")
    with pytest.raises(Busy) as busy:
        result(pool, be_busy)
    assert (busy.value.message, busy.value.retry_after) == ("later", 7)


@pytest.mark.parametrize(
    ("fault", "error", "message"),
    [
        (crash, InvalidData, "the decoder crashed on the file (SIGSEGV)"),
        (leave, InvalidData, "the decoder crashed on the file (exit status 3)"),
        (stumble, InvalidData, "the file cannot be read: it is damaged or its format is not supported"),
        (swell, TooLarge, "reading the file takes more than the allowed 512 MiB of memory"),
        (hang, TooLarge, "reading the file takes more than the allowed 1 seconds of processor time"),
    ],
)
def test_what_a_file_does_to_its_process_is_an_error_of_that_file(
    pool: ProcessPool, fault: Callable[[], None], error: type[AppError], message: str
) -> None:
    with pytest.raises(error) as raised:
        result(pool, fault)
    assert type(raised.value) is error and raised.value.message == message
    assert result(pool, partial(len, b"four")) == 4


def test_a_file_is_not_blamed_for_what_the_one_before_it_did() -> None:
    with ProcessPool(1, LIMITS) as pool:
        pid = result(pool, os.getpid)
        result(pool, damage)
        assert result(pool, os.getpid) != pid


def test_no_more_processes_than_are_needed(tmp_path: Path) -> None:
    with ProcessPool(3, LIMITS) as pool:
        first = {result(pool, os.getpid) for _ in range(5)}
        assert len(first) == 1
        stuck = [pool.submit(partial(touch_and_sleep, tmp_path / str(n))) for n in range(3)]
        assert len({begun(tmp_path / str(n)) for n in range(3)} | first) == 3
        waiting = pool.submit(os.getpid)
        assert not waiting.done() and waiting.cancel()
        for each in stuck:
            each.cancel()


def test_who_leaves_ends_what_is_read_for_him(pool: ProcessPool, tmp_path: Path) -> None:
    async def leave_early() -> int:
        call = asyncio.create_task(pool.call(partial(touch_and_sleep, tmp_path / "pid")))
        pid = await asyncio.to_thread(begun, tmp_path / "pid")
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        return pid

    assert has_ended(asyncio.run(leave_early()))
    assert result(pool, partial(len, b"four")) == 4


def test_closing_kills_what_runs_and_refuses_what_waits(tmp_path: Path) -> None:
    pool = ProcessPool(1, LIMITS)
    runs, waits = pool.submit(partial(touch_and_sleep, tmp_path / "pid")), pool.submit(os.getpid)
    pid = begun(tmp_path / "pid")
    pool.close()
    assert has_ended(pid)
    for call in (runs, waits):
        with pytest.raises(NotReady):
            call.result(WAIT)
    with pytest.raises(NotReady):
        pool.submit(os.getpid)
    pool.close()


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_signals_are_the_parents_to_answer(pool: ProcessPool, signum: int) -> None:
    pid = result(pool, os.getpid)
    assert isinstance(pid, int)
    os.kill(pid, signum)
    assert result(pool, os.getpid) == pid


def test_no_process_outlives_its_parent(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib, functools; from app.system.process_pool import ProcessPool;"
        " from tests.fakes.faults import touch_and_sleep;"
        " ProcessPool(1).submit(functools.partial(touch_and_sleep, pathlib.Path(sys.argv[1]))).result()"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "pid")], cwd=Path(__file__).parents[2], stdin=subprocess.DEVNULL
    )
    try:
        pid = begun(tmp_path / "pid")
    finally:
        parent.kill()
        parent.wait()
    assert has_ended(pid)


def test_a_process_that_does_not_start_is_no_fault_of_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    with ProcessPool(1, LIMITS) as pool, pytest.raises(AppError, match="did not start") as raised:
        result(pool, os.getpid)
    assert raised.value.status == 500
