"""Bounds on concurrent work in one event loop, and groups of coroutines that end together."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from typing import Any

from app.errors import Busy


class TokenBudget:
    """An amount of which callers hold parts. Callers wait in the order in which they came.

    total: tokens, or characters, or whatever is bounded. A caller that needs more than all of it gets all of it.
    """

    def __init__(self, total: int) -> None:
        self._total = self._free = total
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def held(self) -> int:
        return self._total - self._free

    @asynccontextmanager
    async def hold(self, amount: int) -> AsyncIterator[None]:
        """Waits until `amount` is free and holds it within the block."""
        amount = min(amount, self._total)
        if self._waiting or amount > self._free:
            await self._wait(amount)
        else:
            self._free -= amount
        try:
            yield
        finally:
            self._release(amount)

    async def _wait(self, amount: int) -> None:
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        place = (amount, granted)
        self._waiting.append(place)
        try:
            await granted
        except asyncio.CancelledError:
            if granted.cancelled():
                self._waiting.remove(place)
                self._release(0)  # those behind may fit now
            else:  # granted just before the caller was cancelled
                self._release(amount)
            raise

    def _release(self, amount: int) -> None:
        self._free += amount
        while self._waiting and self._waiting[0][0] <= self._free:
            wanted, granted = self._waiting[0]
            if granted.cancelled():  # its caller, who has yet to run, removes it
                return
            self._waiting.popleft()
            self._free -= wanted
            granted.set_result(None)


class ConcurrencyLimiter:
    """Runs at most `at_once` blocks at once and queues the others in the order in which they came.

    waiting: blocks that may wait; None for any number. what: the name of the blocks in the error, in the plural.
    """

    def __init__(self, at_once: int, *, waiting: int | None = None, what: str = "requests") -> None:
        self._running = TokenBudget(at_once)
        self._most = None if waiting is None else at_once + waiting
        self._what = what
        self._count = 0

    @asynccontextmanager
    async def hold(self) -> AsyncIterator[None]:
        """Waits for a free place and holds it within the block. Raises Busy if too many wait."""
        if self._most is not None and self._count >= self._most:
            raise Busy(f"{self._count} {self._what} are waiting or running, as many as allowed; try again later")
        self._count += 1
        try:
            async with self._running.hold(1):
                yield
        finally:
            self._count -= 1


async def gather_or_cancel(work: Iterable[Coroutine[Any, Any, Any]]) -> list[Any]:
    """Returns the result of each coroutine, in order.

    If one fails or the caller is cancelled, the others are cancelled, and have ended when this returns.
    """
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def run_watched(work: Coroutine[Any, Any, None], check: Callable[[], None], interval: float) -> None:
    """Runs `work`, and calls `check` every `interval` seconds. If `check` raises, the work is cancelled, and has ended
    when this raises what `check` raised.
    """
    task = asyncio.ensure_future(work)
    try:
        while not task.done():
            await asyncio.wait([task], timeout=interval)
            check()
    finally:
        task.cancel()
        await asyncio.wait([task])
    task.result()
