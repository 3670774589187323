"""One served model: items in, results out, in order, through the device's batcher."""

import asyncio
import math
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from app.errors import TaskNotSupported
from app.serving.batches import Flow
from app.serving.device_model import DeviceModel, weight_bytes
from app.serving.files import FileItems
from app.serving.locating import locating
from app.serving.model_usage import ModelUsage
from app.serving.served_task import ServedTask
from app.serving.steps import THREADS, finish_row, resume_steps, run_rows, run_steps, start_steps
from app.store.store import ModelEntry
from app.system.concurrency import gather_or_cancel
from app.system.process_pool import ProcessPool
from app.telemetry.tracing import SPAN
from app.types import Task

_CHUNK = 16  # items that a thread takes at once: a hop costs more than tokenizing one sentence
_QUICK = 4  # items at most that are prepared on the event loop, if each is quick

T = TypeVar("T")
R = TypeVar("R")


class Engine:
    """Serves a model that is on one device, or on several which take its batches from one queue.

    loaded: the model on each of its devices. The first one prepares and finishes the items of all.
    `executor` prepares and finishes; its queue is bounded by the permits of the batcher.
    decoders: processes that decode files; None: threads of this process.
    All methods belong to one event loop.
    """

    def __init__(
        self,
        entry: ModelEntry,
        loaded: Sequence[DeviceModel],
        executor: Executor,
        decoders: ProcessPool | None = None,
    ) -> None:
        self.entry = entry
        self.model = loaded[0].model
        self.runners = [each.runner for each in loaded]
        self.devices = [runner.name for runner in self.runners]
        self.device_bytes = weight_bytes(self.model)  # of its weights, on each device
        self.usage = ModelUsage()
        self._batcher = self.runners[0].batcher
        self._executor = executor
        self._files = FileItems(self._batcher, decoders)
        self._served_tasks = _serve_tasks(entry.id, loaded, self.usage)
        self._active = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def submit(self, task: Task, items: Sequence[Any], flow: Flow | None = None) -> list[Any]:
        """Returns one result for each item, in order.

        flow: the flow of fair queueing that the items belong to; by default, one of their own.

        Admits all items or none (Busy). The first error, or the cancellation of the caller,
        drops those that have not started. Raises TaskNotSupported, the AppErrors that the task's handler
        raises for an item, and NotReady when the server stops.
        """
        return await self._answer(self.require(task), items, self._batcher.admit(len(items)), flow)

    def require(self, task: Task) -> ServedTask:
        """Returns the task. Raises TaskNotSupported; a caller may ask before it reads a request's items."""
        served = self._served_tasks.get(task)
        if served is None:
            able = ", ".join(sorted(self._served_tasks)) or "nothing"
            reason = f", because {why}" if (why := self.model.unsupported.get(task)) else ""
            raise TaskNotSupported(f"{self.entry.id} cannot do {task}{reason}; it can do {able}", param="model")
        return served

    async def warm_up(self) -> None:
        """Runs one forward on each device for each task that has an example. It takes no permit, so a full queue
        fails no load.

        Examples are files of Cloze's own, so they are decoded in this process: none is started for them.
        """
        token = SPAN.set(None)  # the examples are not inputs of the request that waits for the model
        try:
            for served in self._served_tasks.values():
                if (example := served.handler.example()) is not None:
                    for runner in self.runners:
                        await self._answer(served.only_on(runner), [example], [Future()], trusted=True)
        finally:
            SPAN.reset(token)

    async def wait_until_idle(self) -> None:
        """Returns once no request is in flight."""
        await self._idle.wait()

    async def _answer(
        self,
        served: ServedTask,
        items: Sequence[Any],
        futures: Sequence[Future[Any]],
        flow: Flow | None = None,
        *,
        trusted: bool = False,
    ) -> list[Any]:
        flow = flow or Flow()
        self._active += 1
        self._idle.clear()
        try:
            handler = served.handler
            if handler.reads_files and not trusted:
                return await self._files.answer(served, items, futures, flow)
            quick = len(items) <= _QUICK and all(map(handler.is_quick, items))
            each = self._here if quick else self._spread
            if not all(map(handler.takes_one_step, items)):
                steps = await each(handler.steps, items)
                return await run_steps(served, steps, futures, self._batcher, self._executor, flow)
            started = await each(partial(start_steps, handler), items)
            if any(len(rows) > 1 for _, rows in started):
                steps = [resume_steps(*each) for each in started]
                return await run_steps(served, steps, futures, self._batcher, self._executor, flow)
            raws = await run_rows(served, [row for _, (row,) in started], futures, self._batcher, flow)
            return await each(finish_row, [(begun, raw) for (begun, _), raw in zip(started, raws, strict=True)])
        finally:
            for future in futures:
                future.cancel()  # gives the permit back, unless it ran or runs
            self._active -= 1
            if self._active == 0:
                self._idle.set()

    async def _here(self, function: Callable[[T], R], items: Sequence[T]) -> list[R]:
        """Applies `function` on the event loop. For items that take less time than a switch to a thread and back."""
        return list(map(locating(function, len(items)), enumerate(items)))

    async def _spread(self, function: Callable[[T], R], items: Sequence[T]) -> list[R]:
        """`function` of every item on the executor's threads, chunk after chunk on a few of them.

        Once one item has failed or the caller has left, no other is begun.
        """
        results: list[list[R]] = [[]] * math.ceil(len(items) / _CHUNK)
        chunks = iter(range(len(results)))
        over = threading.Event()
        pairs, located = list(enumerate(items)), locating(function, len(items))

        async def work() -> None:
            run = asyncio.get_running_loop().run_in_executor
            for chunk in chunks:
                part = pairs[chunk * _CHUNK : (chunk + 1) * _CHUNK]
                results[chunk] = await run(self._executor, _each, located, part, over)

        try:
            await gather_or_cancel(work() for _ in range(min(THREADS, len(results))))
        finally:
            over.set()  # threads cannot be cancelled
        return [result for part in results for result in part]


def _serve_tasks(model_id: str, loaded: Sequence[DeviceModel], usage: ModelUsage) -> dict[Task, ServedTask]:
    served = {
        task: ServedTask(model_id, task, {each.runner: each.handlers(task) for each in loaded}, usage=usage)
        for task in loaded[0].model.tasks
    }
    return {
        task: each if each.handler.rows_of is None else replace(each, rows_of=served[each.handler.rows_of])
        for task, each in served.items()
    }


def _each(function: Callable[[T], R], items: Iterable[T], over: threading.Event) -> list[R]:
    """Applies a function to items until `over` is set."""
    return [function(item) for item in items if not over.is_set()]
