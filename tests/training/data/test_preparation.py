import pytest

from app.training.data.preparation import PreparationProgress
from app.training.hooks import Stopped
from tests.fakes.runs import Recorder


def test_what_is_told_of_a_file() -> None:
    now, hooks = [0.0], Recorder()
    listen = PreparationProgress(hooks, "wiki.jsonl", 1_000_000_000, lambda: now[0])
    for second in range(1, 61):
        now[0] = second
        listen(second * 20_000_000 if second < 50 else 1_000_000_000)
    assert [message for message, _ in hooks.events] == [
        f"Preparing wiki.jsonl: {n}00 of 1,000 MB, 20.0 MB/s".replace("1000 of", "1,000 of") for n in (2, 4, 6, 8, 10)
    ]
    assert hooks.events[0][1] == {
        "file": "wiki.jsonl",
        "bytes": 200_000_000,
        "total_bytes": 1_000_000_000,
        "bytes_per_second": 20_000_000,
    }


def test_slow_work_is_told_of_at_most_twenty_times() -> None:
    now, hooks = [0.0], Recorder()
    listen = PreparationProgress(hooks, "a.txt", 1_000_000, lambda: now[0])
    for done in range(0, 1_000_001, 1000):
        now[0] += 11
        listen(done)
    assert len(hooks.events) == 20


def test_that_another_job_does_the_work_is_said_once() -> None:
    hooks = Recorder()
    listen = PreparationProgress(hooks, "a.txt", 10)
    listen(None)
    listen(None)
    assert [message for message, _ in hooks.events] == ["Waiting for another job that is preparing a.txt"]


def test_a_run_is_stopped_while_it_prepares() -> None:
    for read in (5, None):
        with pytest.raises(Stopped) as stopped:
            PreparationProgress(Recorder(stop_at=0), "a.txt", 10)(read)
        assert stopped.value.reason == "cancel"


def test_whether_to_stop_is_asked_four_times_a_second() -> None:
    now, hooks = [0.0], Recorder()
    listen = PreparationProgress(hooks, "a.txt", 10, lambda: now[0])
    listen.check()
    hooks.stop_at = 0
    now[0] = 0.2
    listen.check()
    now[0] = 0.3
    with pytest.raises(Stopped):
        listen.check()
