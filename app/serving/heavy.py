"""Items that weigh far more prepared than as they came: few are held at once, however many a request has.

A file of a few kilobytes can be half an hour of silence, a hundred megabytes as a model sees it. So one
is prepared only when those before it have room in the queue, its row runs at once, and then it is let go.
Files are decoded in child processes: one that crashes its decoder, or takes too long, fails alone.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AsyncExitStack
from typing import Any

from app.modalities.base import Heavy
from app.serving.batcher import Batcher
from app.serving.batches import Flow
from app.serving.locating import of_item
from app.serving.runner import Group, ServedTask
from app.serving.steps import ITEMS, THREADS, room_in, run_rows, together
from app.system.process_pool import ProcessPool

_PREPARED = 4  # items of a model that are being prepared, or wait for room


class HeavyItems:
    """The prepared items that one model holds for all requests together.

    decoders: the processes that decode files; None: threads of this process.
    """

    def __init__(self, batcher: Batcher[Group], decoders: ProcessPool | None = None) -> None:
        self._batcher = batcher
        self._decoders = decoders
        # Threads of its own: large items take long to finish, and texts would wait for them.
        self._executor = ThreadPoolExecutor(_PREPARED, thread_name_prefix="decode")
        self._places = asyncio.Semaphore(_PREPARED)
        self._room = room_in(batcher)
        self._turn = asyncio.Lock()  # who waits for much room is not overtaken for ever by who needs little

    async def answer(
        self, served: ServedTask, items: Sequence[Any], permits: Sequence[Future[Any]], flow: Flow
    ) -> list[Any]:
        """The answer of each item, in order. The first error, or the caller's leave, ends the others."""
        own = asyncio.Semaphore(THREADS)
        answers: list[Any] = [None] * len(items)
        waiting = iter(enumerate(items))

        async def work() -> None:
            for index, item in waiting:
                with of_item(index, len(items)):
                    answers[index] = await self._answer(served, item, permits[index], own, flow)

        await together(work() for _ in range(min(ITEMS, len(items))))
        return answers

    async def _answer(
        self, served: ServedTask, item: Any, permit: Future[Any], own: asyncio.Semaphore, flow: Flow
    ) -> Any:
        run = asyncio.get_running_loop().run_in_executor
        handler = served.handler
        assert isinstance(handler, Heavy)
        async with AsyncExitStack() as held:
            async with own, self._places:
                decoded = await self._decoded(handler.decoding(item))
                prepared = await run(self._executor, handler.prepare_decoded, item, decoded)
                async with self._turn:
                    await held.enter_async_context(self._room.taken(prepared.cost))
            (raw,) = await run_rows(served, [prepared], [permit], self._batcher, flow)
            return await run(self._executor, served.handler.finish, prepared, raw)

    async def _decoded(self, decode: Callable[[], Any]) -> Any:
        if self._decoders is not None:
            return await self._decoders.call(decode)
        return await asyncio.get_running_loop().run_in_executor(self._executor, decode)
