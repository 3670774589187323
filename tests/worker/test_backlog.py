from collections.abc import Callable

import pytest

from app.jobs.connection import StorageError
from app.jobs.worker_queue import LeaseLost
from app.worker.backlog import Backlog


class Redis:
    """What is written to it, and a clock that its failures take time of."""

    def __init__(self) -> None:
        self.now, self.away, self.patience = 0.0, False, 0.0
        self.tries = 0
        self.written: list[str] = []

    def write(self, text: str) -> Callable[[], None]:
        def make() -> None:
            self.tries += 1
            if self.away:
                self.now += self.patience
                raise StorageError("gone")
            self.written.append(text)

        return make

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        if self.now > 1000:
            self.away = False


@pytest.fixture
def redis() -> Redis:
    return Redis()


@pytest.fixture
def waiting(redis: Redis) -> Backlog:
    return Backlog(clock=lambda: redis.now, sleep=redis.sleep)


def test_writes_wait_in_their_order(redis: Redis, waiting: Backlog) -> None:
    waiting.put(redis.write("a"))
    redis.away = True
    for text in "bcd":
        waiting.put(redis.write(text))
    assert (redis.written, redis.tries) == (["a"], 2)  # and only one try a pause
    redis.away = False
    waiting.deliver()
    assert redis.written == ["a"]
    redis.now += 1.0
    waiting.put(redis.write("e"))
    assert redis.written == list("abcde")


def test_an_answer_that_is_not_to_be_had(redis: Redis, waiting: Backlog) -> None:
    redis.away, redis.patience = True, 4.0
    assert waiting.ask(redis.write("x"), otherwise=None) is None
    redis.away = False
    redis.now += 39.0  # a try that took long is a rare one
    assert waiting.ask(lambda: "there", otherwise="away") == "away"
    redis.now += 1.0
    assert waiting.ask(lambda: "there", otherwise="away") == "there"


def test_draining_waits_for_as_long_as_it_takes(redis: Redis, waiting: Backlog) -> None:
    redis.away = True
    waiting.put(redis.write("a"))
    waiting.drain()
    assert redis.written == ["a"] and redis.now > 1000


def test_it_keeps_no_more_than_it_may(redis: Redis) -> None:
    waiting = Backlog(lambda: redis.now, redis.sleep, capacity=3)
    redis.away = True
    for text in "abcd":
        waiting.put(redis.write(text))
    assert redis.written == list("abcd")


def test_a_lost_lease_is_told(waiting: Backlog) -> None:
    def lost() -> None:
        raise LeaseLost("ftjob-1")

    with pytest.raises(LeaseLost):
        waiting.put(lost)
