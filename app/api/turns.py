"""Work of which little is done at once, and for which not many may wait."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.errors import Busy


class ConcurrencyLimiter:
    """`at_once` have their turn, `waiting` more wait for theirs, and whoever comes beyond them comes again later."""

    def __init__(self, *, at_once: int, waiting: int, what: str) -> None:
        self._free = asyncio.Semaphore(at_once)
        self._most, self._what = at_once + waiting, what
        self._here = 0

    @asynccontextmanager
    async def taken(self) -> AsyncIterator[None]:
        """Raises Busy."""
        if self._here >= self._most:
            raise Busy(f"{self._here} {self._what} are waiting or under way, as many as may; try again later")
        self._here += 1
        try:
            async with self._free:
                yield
        finally:
            self._here -= 1
