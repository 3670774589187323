"""Delivery of a run's reports to its job's record, without waiting for a Redis that is away."""

import logging
import math
import time
from collections import deque
from collections.abc import Callable
from typing import TypeVar

from app.jobs.connection import StorageError

CAPACITY = 10_000  # writes
_PAUSE = 1.0  # seconds before Redis is tried again
_SHARE = 10  # a slow try is followed by a pause that is so many times as long

T = TypeVar("T")

_log = logging.getLogger(__name__)


class Backlog:
    """Makes writes in their order, each as soon as Redis takes it. For one thread.

    A write whose answer was lost is made again, so a message may come twice. Errors other than StorageError go to
    the caller. capacity: writes that may wait; the next one waits for Redis.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        *,
        capacity: int = CAPACITY,
    ) -> None:
        self._clock, self._sleep, self._capacity = clock, sleep, capacity
        self._waiting: deque[Callable[[], object]] = deque()
        self._next_try = -math.inf
        self._is_away = False

    def ask(self, question: Callable[[], T], otherwise: T) -> T:
        """Returns the answer, or `otherwise` while Redis is unreachable. Then not every call tries again."""
        began = self._clock()
        if began < self._next_try:
            return otherwise
        try:
            answer = question()
        except StorageError as e:
            now = self._clock()
            self._next_try = now + max(_PAUSE, _SHARE * (now - began))
            if not self._is_away:
                _log.warning("Redis does not answer, training continues: %s", e)
            self._is_away = True
            return otherwise
        if self._is_away:
            _log.info("Redis answers again")
        self._is_away = False
        return answer

    def put(self, write: Callable[[], object]) -> None:
        """Makes the write now, or later if Redis is away."""
        self._waiting.append(write)
        self.deliver()
        if len(self._waiting) > self._capacity:
            self.drain()

    def deliver(self) -> None:
        """Makes the waiting writes in order, until one fails."""
        while self._waiting:
            if not self.ask(self._make_first, otherwise=False):
                return

    def drain(self) -> None:
        """Returns when nothing waits any more."""
        self.deliver()
        while self._waiting:
            self._sleep(_PAUSE)
            self._next_try = -math.inf
            self.deliver()

    def _make_first(self) -> bool:
        self._waiting[0]()
        self._waiting.popleft()
        return True
