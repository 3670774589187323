"""Answers items step by step: their rows go through the batcher, and the raw results back to the items.

A row that is all of its item waits in the queue with the item's permit. Rows of other items hold no permit of their
own. Instead a request keeps only so many tokens in the queue that the device stays busy, so the next request waits for
a few batches of it and not for all its rows.
"""

import asyncio
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future
from typing import Any

from app.modalities.base import AnyHandler, AnySteps, BatchRow
from app.serving.batcher import Batcher
from app.serving.batches import Entry, Flow
from app.serving.locating import of_item
from app.serving.served_task import ServedTask
from app.system.concurrency import ConcurrencyLimiter, TokenBudget, gather_or_cancel
from app.telemetry.tracing import SPAN

THREADS = 3  # of the executor's that one request takes at once, so that it leaves one to the others
ITEMS = 64  # of a request that are answered step by step at once

AnyRow = BatchRow[Any]


def tokens_in_flight(batcher: Batcher[ServedTask]) -> TokenBudget:
    """Returns the tokens of as many batches as run at once, and of one that waits."""
    return TokenBudget((batcher.shares + 1) * batcher.max_tokens)


async def run_rows(
    served: ServedTask, rows: Sequence[AnyRow], futures: Sequence[Future[Any]], batcher: Batcher[ServedTask], flow: Flow
) -> list[Any]:
    """Returns the raw result of each row, by its future. Raises the first error; a caller that leaves cancels them."""
    padded = served.handler.pads
    lined_up = zip(rows, futures, strict=True)
    span = SPAN.get()
    batcher.put([Entry(row.inputs, _cost(row), served.key, future, padded, span) for row, future in lined_up], flow)
    await _wait_for_all(futures)
    return [future.result() for future in futures]


def start_steps(handler: AnyHandler, item: Any) -> tuple[AnySteps, Sequence[AnyRow]]:
    """Starts an item. Returns its steps with the rows of the first one."""
    steps = handler.steps(item)
    return steps, next(steps)


def resume_steps(steps: AnySteps, rows: Sequence[AnyRow]) -> AnySteps:
    """Returns the steps of an item that is started, from the first one on."""
    while True:
        raws = yield rows
        try:
            rows = steps.send(raws)
        except StopIteration as end:
            return end.value


def start_row(handler: AnyHandler, item: Any) -> tuple[AnySteps, AnyRow]:
    """Starts an item that takes one row."""
    steps, (row,) = start_steps(handler, item)
    return steps, row


def finish_row(answered: tuple[AnySteps, Any]) -> Any:
    """Returns the result of an item that took one row, from its steps and the raw result of the row."""
    steps, raw = answered
    done, result = _advance(steps, [raw])
    if not done:
        raise RuntimeError("an item that takes one row has asked for more")
    return result


async def run_steps(
    served: ServedTask,
    items: Sequence[AnySteps],
    permits: Sequence[Future[Any]],
    batcher: Batcher[ServedTask],
    executor: Executor,
    flow: Flow,
) -> list[Any]:
    """Returns the result of each item, in order. A permit ends with its item."""
    tokens = tokens_in_flight(batcher)
    threads = ConcurrencyLimiter(THREADS)
    results: list[Any] = [None] * len(items)
    waiting = iter(enumerate(items))

    async def run(rows: Sequence[AnyRow]) -> list[Any]:
        async with tokens.hold(sum(map(_cost, rows))):
            futures: list[Future[Any]] = [Future() for _ in rows]
            try:
                return await run_rows(served, rows, futures, batcher, flow)
            finally:
                for future in futures:
                    future.cancel()

    async def advance(steps: AnySteps, raws: Sequence[Any] | None) -> tuple[bool, Any]:
        async with threads.hold():
            return await asyncio.get_running_loop().run_in_executor(executor, _advance, steps, raws)

    async def answer(steps: AnySteps) -> Any:
        done, value = await advance(steps, None)
        while not done:
            parts = await gather_or_cancel(run(part) for part in _split(value, batcher.max_tokens))
            done, value = await advance(steps, [raw for part in parts for raw in part])
        return value

    async def work() -> None:
        for index, steps in waiting:
            with of_item(index, len(items)):
                results[index] = await answer(steps)
            permits[index].cancel()

    await gather_or_cancel(work() for _ in range(min(ITEMS, len(items))))
    return results


def _advance(steps: AnySteps, raws: Sequence[Any] | None) -> tuple[bool, Any]:
    """Returns (False, the next rows) or (True, the result). A future cannot carry StopIteration."""
    try:
        return False, next(steps) if raws is None else steps.send(raws)
    except StopIteration as end:
        return True, end.value


def _split(rows: Sequence[AnyRow], tokens: int) -> Iterator[Sequence[AnyRow]]:
    """Yields runs of neighbours of at most `tokens` each; a row beyond that is alone."""
    start = total = 0
    for place, row in enumerate(rows):
        if total + _cost(row) > tokens and place > start:
            yield rows[start:place]
            start, total = place, 0
        total += _cost(row)
    if start < len(rows):
        yield rows[start:]


def _cost(row: AnyRow) -> int:
    return max(1, row.cost)


async def _wait_for_all(futures: Sequence[Future[Any]]) -> None:
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
