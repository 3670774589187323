"""Items that are files: few are decoded and held at once, however many a request has.

A file of a few kilobytes can be half an hour of silence, a hundred megabytes as a model sees it. So a file is decoded
only when there is room for it in the queue, its row runs at once, and then it is let go. Files are decoded in child
processes: one that crashes its decoder, or takes too long, fails alone.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AsyncExitStack
from typing import Any

from app.serving.batcher import Batcher
from app.serving.batches import Flow
from app.serving.locating import of_item
from app.serving.served_task import ServedTask
from app.serving.steps import ITEMS, THREADS, finish_row, run_rows, start_row, tokens_in_flight
from app.system.concurrency import ConcurrencyLimiter, gather_or_cancel
from app.system.process_pool import ProcessPool

_PREPARED = 4  # items of a model that are being prepared, or wait for tokens


class FileItems:
    """The decoded files that one model holds for all requests together.

    decoders: the processes that decode files; None: threads of this process.
    """

    def __init__(self, batcher: Batcher[ServedTask], decoders: ProcessPool | None = None) -> None:
        self._batcher = batcher
        self._decoders = decoders
        # Threads of its own: large items take long to finish, and texts would wait for them.
        self._executor = ThreadPoolExecutor(_PREPARED, thread_name_prefix="decode")
        self._preparing = ConcurrencyLimiter(_PREPARED)
        self._tokens = tokens_in_flight(batcher)

    async def answer(
        self, served: ServedTask, items: Sequence[Any], permits: Sequence[Future[Any]], flow: Flow
    ) -> list[Any]:
        """Returns the result of each item, in order. The first error, or the caller's leave, ends the others."""
        own = ConcurrencyLimiter(THREADS)
        results: list[Any] = [None] * len(items)
        waiting = iter(enumerate(items))

        async def work() -> None:
            for index, item in waiting:
                with of_item(index, len(items)):
                    results[index] = await self._answer(served, item, permits[index], own, flow)

        await gather_or_cancel(work() for _ in range(min(ITEMS, len(items))))
        return results

    async def _answer(
        self, served: ServedTask, item: Any, permit: Future[Any], own: ConcurrencyLimiter, flow: Flow
    ) -> Any:
        run = asyncio.get_running_loop().run_in_executor
        async with AsyncExitStack() as held:
            async with own.hold(), self._preparing.hold():
                decoded = await self._decode(served.handler.decoding(item))
                steps, row = await run(self._executor, start_row, served.handler, decoded)
                await held.enter_async_context(self._tokens.hold(row.cost))
            (raw,) = await run_rows(served, [row], [permit], self._batcher, flow)
            return await run(self._executor, finish_row, (steps, raw))

    async def _decode(self, decode: Callable[[], Any]) -> Any:
        if self._decoders is not None:
            return await self._decoders.call(decode)
        return await asyncio.get_running_loop().run_in_executor(self._executor, decode)
