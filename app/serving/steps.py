"""Rows through the batcher: one an item, or as many as an item asks for in its rounds.

Rows of an item in rounds hold no permit of their own, the item has one. Instead a request keeps
only so many tokens in the queue that the device stays busy: whoever comes next waits for a few
batches of it, not for all its rows.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future
from contextlib import asynccontextmanager
from typing import Any

from app.modalities.base import Prepared, Rounds, TaskHandler
from app.serving.batcher import Batcher
from app.serving.batches import Entry, Flow
from app.serving.locating import of_item
from app.serving.runner import Group, ServedTask

THREADS = 3  # of the executor's that one request takes at once, so that it leaves one to the others
ITEMS = 64  # of a request, in their rounds at once


def room_in(batcher: Batcher[Group]) -> "TokenBudget":
    """For as many batches as run at once, and one that waits."""
    return TokenBudget((batcher.shares + 1) * batcher.max_tokens)


async def run_rows(
    served: ServedTask, rows: Sequence[Prepared], futures: Sequence[Future[Any]], batcher: Batcher[Group], flow: Flow
) -> list[Any]:
    """The raw result of each row, by its future. The first error is raised; who leaves cancels the futures."""
    lined_up = zip(rows, futures, strict=True)
    batcher.put([Entry(row, _cost(row), Group(served, row.key), future, row.padded) for row, future in lined_up], flow)
    await _settled(futures)
    return [future.result() for future in futures]


async def in_rounds(
    served: ServedTask,
    items: Sequence[Prepared | Rounds],
    permits: Sequence[Future[Any]],
    batcher: Batcher[Group],
    executor: Executor,
    flow: Flow,
) -> list[Any]:
    """The answer of each item, in order. A permit ends with its item."""
    room = room_in(batcher)
    threads = asyncio.Semaphore(THREADS)
    answers: list[Any] = [None] * len(items)
    waiting = iter(enumerate(items))

    async def run(rows: Sequence[Prepared]) -> list[Any]:
        async with room.taken(sum(map(_cost, rows))):
            futures: list[Future[Any]] = [Future() for _ in rows]
            try:
                return await run_rows(served, rows, futures, batcher, flow)
            finally:
                for future in futures:
                    future.cancel()

    async def advance(rounds: Rounds, raws: Sequence[Any] | None) -> tuple[bool, Any]:
        async with threads:
            return await asyncio.get_running_loop().run_in_executor(executor, _advance, rounds, raws)

    async def answer(rounds: Rounds) -> Any:
        done, value = await advance(rounds, None)
        while not done:
            parts = await together(run(part) for part in _parts(value, batcher.max_tokens))
            done, value = await advance(rounds, [raw for part in parts for raw in part])
        return value

    async def work() -> None:
        for index, item in waiting:
            rounds = _only_round(served.handler, item) if isinstance(item, Prepared) else item
            with of_item(index, len(items)):
                answers[index] = await answer(rounds)
            permits[index].cancel()

    await together(work() for _ in range(min(ITEMS, len(items))))
    return answers


async def together(work: Iterable[Coroutine[Any, Any, Any]]) -> list[Any]:
    """The result of each; when one fails or the caller leaves, the others are cancelled and have ended."""
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class TokenBudget:
    """Tokens that may be in the queue at once. What is larger takes all of it."""

    def __init__(self, tokens: int) -> None:
        self._total = self._free = tokens
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def taken(self, tokens: int) -> AsyncIterator[None]:
        tokens = min(tokens, self._total)
        async with self._changed:
            await self._changed.wait_for(lambda: self._free >= tokens)
            self._free -= tokens
        try:
            yield
        finally:
            self._free += tokens
            async with self._changed:
                self._changed.notify_all()


def _only_round(handler: TaskHandler, prepared: Prepared) -> Rounds:
    (raw,) = yield [prepared]
    return handler.finish(prepared, raw)


def _advance(rounds: Rounds, raws: Sequence[Any] | None) -> tuple[bool, Any]:
    """(False, the next rows) or (True, the answer). A future cannot carry StopIteration."""
    try:
        return False, next(rounds) if raws is None else rounds.send(raws)
    except StopIteration as end:
        return True, end.value


def _parts(rows: Sequence[Prepared], tokens: int) -> Iterator[Sequence[Prepared]]:
    """Neighbours, of at most so many tokens together; a row beyond that is alone."""
    start = taken = 0
    for place, row in enumerate(rows):
        if taken + _cost(row) > tokens and place > start:
            yield rows[start:place]
            start, taken = place, 0
        taken += _cost(row)
    if start < len(rows):
        yield rows[start:]


def _cost(row: Prepared) -> int:
    return max(1, row.cost)


async def _settled(futures: Sequence[Future[Any]]) -> None:
    """Returns when all have a result, raises the first error. Wakes the event loop once, not once a future."""
    loop = asyncio.get_running_loop()
    waiter: asyncio.Future[None] = loop.create_future()
    remaining = len(futures)
    guard = threading.Lock()

    def settle(error: BaseException | None) -> None:
        if waiter.done():
            return
        if error is None:
            waiter.set_result(None)
        else:
            waiter.set_exception(error)

    def on_done(future: Future[Any]) -> None:
        nonlocal remaining
        if future.cancelled():  # by the caller, who no longer waits
            return
        error = future.exception()
        with guard:
            remaining -= 1
        if error is not None or remaining == 0:
            loop.call_soon_threadsafe(settle, error)

    if not futures:
        return
    for future in futures:
        future.add_done_callback(on_done)
    await waiter
