"""The worker's side of wake-ups while Redis goes away."""

import logging
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from app.jobs.connection import Client, EmbeddedRedis, StorageError, connect
from app.jobs.wakeups import WakeupListener, Wakeups


@pytest.fixture(autouse=True)
def handlers_stay() -> Iterator[None]:
    """RQ installs handlers of signals."""
    before = {signum: signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)}
    yield
    for signum, handler in before.items():
        signal.signal(signum, handler)


def listen(redis: Client, on_wake: Callable[[], None]) -> None:
    Wakeups(redis).send("a job")
    WakeupListener(redis, on_wake=on_wake, on_stop=lambda: None).work(logging_level="WARNING")


def test_an_outage_during_the_work_ends_the_loop_without_a_traceback(
    redis: Client, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise RedisConnectionError("Redis is away")

    with caplog.at_level(logging.WARNING):
        listen(redis, fail)
    assert not [record for record in caplog.records if record.exc_info]


def test_a_redis_that_dies_between_two_steps_is_no_bug(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with (
        EmbeddedRedis(tmp_path) as server,
        connect(server.url, retries=0) as redis,
        caplog.at_level(logging.WARNING),
        pytest.raises(StorageError),
    ):
        listen(redis, server.stop)
    assert not [record for record in caplog.records if record.exc_info]


def test_a_bug_is_still_told_as_one(redis: Client, caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    with caplog.at_level(logging.WARNING):
        listen(redis, fail)
    assert [record for record in caplog.records if record.exc_info]
