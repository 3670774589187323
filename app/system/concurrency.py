"""A limit of how much work is done, and waits, at once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.errors import Busy


class ConcurrencyLimiter:
    """Runs at most `at_once` pieces of work and lets `waiting` more wait; raises Busy beyond that.

    what: plural noun of the work, for messages.
    """

    def __init__(self, *, at_once: int, waiting: int, what: str) -> None:
        self._free = asyncio.Semaphore(at_once)
        self._most, self._what = at_once + waiting, what
        self._here = 0

    @asynccontextmanager
    async def taken(self) -> AsyncIterator[None]:
        """Waits for its turn, and holds it. Raises Busy where too many wait already."""
        if self._here >= self._most:
            raise Busy(f"{self._here} {self._what} are waiting or under way, as many as may; try again later")
        self._here += 1
        try:
            async with self._free:
                yield
        finally:
            self._here -= 1
