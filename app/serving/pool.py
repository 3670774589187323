"""The pool of loaded models: loads and warms up each model once, and unloads the least recently used.

A model is on all devices, or on some of them. It is loaded and unloaded on all of its devices at once.
"""

import asyncio
import contextlib
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

import torch

from app.devices import free_memory, is_out_of_memory
from app.errors import AppError, ModelNotFound, NotReady
from app.modalities.served_model import ServedModel
from app.serving.batcher import Batcher
from app.serving.device_model import place, weight_bytes
from app.serving.engine import Engine
from app.serving.failures import copy_for_waiter
from app.serving.observer import EngineObserver
from app.serving.served_task import BatchRunner, ServedTask
from app.store.store import ModelEntry
from app.system.process_pool import ProcessPool

SHIPPED = "cloze-text"  # the default model unless another is set

_log = logging.getLogger(__name__)


class ModelSource(Protocol):
    """The part of the model store that the pool uses."""

    def list(self) -> list[ModelEntry]: ...

    def resolve(self, model_id: str) -> ModelEntry: ...


class EnginePool:
    """The engines of one process. All methods belong to one event loop.

    runners: one for each device; all take batches from one queue.
    load: reads a model folder; runs in a thread, one model at a time, once for each device of the model.
    model_devices: the number of devices that a model is loaded on; None: all.
    default_model: the model of requests that name none; by default `cloze-text` if it exists, else the first.
    max_loaded, max_bytes: the maximum number of models on a device, and of bytes of their weights. Beyond them, the
    least recently used are unloaded once their requests have ended.
    decoders: processes that decode files; None: threads of this process.
    """

    def __init__(
        self,
        store: ModelSource,
        runners: Sequence[BatchRunner],
        *,
        load: Callable[[Path], ServedModel],
        dtype: torch.dtype = torch.float32,
        model_devices: int | None = None,
        default_model: str | None = None,
        max_loaded: int = 8,
        max_bytes: int | None = None,
        observer: EngineObserver | None = None,
        decoders: ProcessPool | None = None,
    ) -> None:
        self.devices = [runner.name for runner in runners]
        self.device_type = runners[0].device.type
        self.dtype = dtype
        self.batcher: Batcher[ServedTask] = runners[0].batcher
        self._runners = runners
        self._model_devices = model_devices
        self._store = store
        self._load = load
        self._default_model = default_model
        self._max_loaded, self._max_bytes = max_loaded, max_bytes
        self._observer = observer
        self._decoders = decoders
        self._engines: OrderedDict[str, Engine] = OrderedDict()  # by name@version, least recently used first
        self._loading: dict[str, asyncio.Task[Engine]] = {}
        self._freeing: set[asyncio.Task[None]] = set()
        self._preparing = ThreadPoolExecutor(4, thread_name_prefix="prepare")
        self._reading = ThreadPoolExecutor(1, thread_name_prefix="load")
        self._load_lock = asyncio.Lock()  # one load at a time, so that there are never more than max_loaded

    @property
    def healthy(self) -> bool:
        """Whether every device answers; False before `start` and while a dead thread is being restarted."""
        return all(runner.alive for runner in self._runners)

    @property
    def queue_depth(self) -> int:
        """Inputs that wait for a device."""
        return self.batcher.waiting

    async def start(self) -> None:
        for runner in self._runners:
            runner.start()

    async def stop(self) -> None:
        """Finishes the running batches. All waiting requests get NotReady."""
        for task in self._loading.values():
            task.cancel()
        for runner in self._runners:
            await asyncio.to_thread(runner.stop)
        await asyncio.gather(*self._loading.values(), *self._freeing, return_exceptions=True)
        await asyncio.gather(*(engine.wait_until_idle() for engine in self._engines.values()))
        self._engines.clear()
        await asyncio.to_thread(self._preparing.shutdown)
        await asyncio.to_thread(self._reading.shutdown)

    def default_id(self) -> str:
        """Returns the `name@version` of the default model. Reads the store. Raises NotReady if it is empty."""
        return self._default_entry().id

    def has_default(self) -> bool:
        """Whether the default model is loaded. Reads the store."""
        try:
            return self.default_id() in self._engines
        except AppError:
            return False

    def loaded(self) -> list[str]:
        """Ids as name@version, most recently used first."""
        return list(reversed(self._engines))

    def memory(self) -> dict[str, int]:
        """Bytes of each loaded model's weights on all of its devices, by name@version."""
        return {key: engine.device_bytes * len(engine.runners) for key, engine in self._engines.items()}

    def device_bytes(self, device: str) -> int:
        """Returns the bytes of the weights on a device."""
        return sum(engine.device_bytes for engine in self._on(device))

    async def get(self, model_id: str | None = None) -> Engine:
        """Returns the engine of the model that the id means now, and loads it if necessary.

        Asks the store each time, so a new version is served with the next request. A failed load raises
        in every request that waits for it, and the next request tries again.
        """
        entry = await self._entry(model_id)
        engine = self._engines.get(entry.id)
        if engine is not None:
            self._engines.move_to_end(entry.id)
            return engine
        loading = self._loading.get(entry.id)
        if loading is None:
            loading = asyncio.create_task(self._loaded(entry))
            self._loading[entry.id] = loading
            loading.add_done_callback(lambda task: self._end_loading(entry.id, task))
        try:
            return await asyncio.shield(loading)  # one caller may leave while others wait
        except AppError as error:
            raise copy_for_waiter(error, error.message) from None
        except asyncio.CancelledError:
            if loading.cancelled():
                raise NotReady("the server is shutting down") from None
            raise

    async def unload(self, model_id: str) -> None:
        """Frees the model's memory once its requests have ended; no error if it is not loaded.

        A bare name unloads every loaded version of it. Works for models that the store has deleted.
        """
        known = dict.fromkeys((*self._engines, *self._loading))
        keys = [key for key in known if model_id in (key, key.rpartition("@")[0])]
        if not keys:
            keys = [(await self._entry(model_id)).id]
        if loading := [self._loading[key] for key in keys if key in self._loading]:
            await asyncio.wait(loading)
        for key in keys:
            if key in self._engines:  # popped in the call: a local name would keep it alive
                await asyncio.shield(self._free(self._engines.pop(key)))

    # Inside

    async def _entry(self, model_id: str | None) -> ModelEntry:
        try:
            # On the event loop: reading a few small files (50 µs) takes less time than a switch to a thread.
            return self._resolve(model_id)
        except ModelNotFound:
            await self._drop_deleted()
            raise

    def _resolve(self, model_id: str | None) -> ModelEntry:
        return self._default_entry() if model_id is None else self._store.resolve(model_id)

    def _default_entry(self) -> ModelEntry:
        """Raises NotReady if the store is empty."""
        if self._default_model is not None:
            return self._store.resolve(self._default_model)
        with contextlib.suppress(ModelNotFound):
            return self._store.resolve(SHIPPED)
        entries = self._store.list()
        if not entries:
            raise NotReady("no model is in the model store yet; import or pretrain one")
        return entries[0]

    async def _drop_deleted(self) -> None:
        for key in list(self._engines):
            try:
                await asyncio.to_thread(self._store.resolve, key)
            except ModelNotFound:
                if key in self._engines:  # nobody else has dropped it meanwhile
                    self._evict(key)

    async def _loaded(self, entry: ModelEntry) -> Engine:
        async with self._load_lock:
            started = time.perf_counter()
            try:
                engine = await self._warm(entry)
            except Exception as error:
                # A model that was deleted while it was read is missing, not broken.
                await asyncio.to_thread(self._store.resolve, entry.id)
                if isinstance(error, AppError):
                    raise
                _log.exception("loading %s failed", entry.id)
                if is_out_of_memory(error):
                    raise NotReady(f"{entry.id} does not fit in the memory of {' or '.join(self.devices)}") from None
                raise AppError(f"{entry.id} could not be loaded; the server's log says why") from None
            seconds = time.perf_counter() - started
            if self._observer is not None:
                self._observer.on_load(entry.id, seconds)
            _log.info("loaded %s in %.1f s on %s in %s", entry.id, seconds, ", ".join(engine.devices), self.dtype)
            self._engines[entry.id] = engine
            return engine

    async def _warm(self, entry: ModelEntry) -> Engine:
        run = asyncio.get_running_loop().run_in_executor
        model = await run(self._reading, lambda: self._load(entry.path))  # a path of a bucket is downloaded first
        # Only now that its files have proved good is another model given up for it.
        await self._drop_deleted()
        runners = self._choose_devices()
        await self._make_room(entry, weight_bytes(model), runners)
        loaded = [await run(self._reading, place, model, runners[0], self.dtype)]
        for runner in runners[1:]:
            model = await run(self._reading, self._load, entry.path)
            loaded.append(await run(self._reading, place, model, runner, self.dtype))
        engine = Engine(entry, loaded, self._preparing, self._decoders)
        await engine.warm_up()
        return engine

    def _on(self, device: str) -> list[Engine]:
        """Returns the engines of a device, least recently used first."""
        return [engine for engine in list(self._engines.values()) if device in engine.devices]

    def _choose_devices(self) -> Sequence[BatchRunner]:
        """Returns the devices of the next model: those with the fewest bytes of weights, then the fewest models."""
        ranked = sorted(self._runners, key=lambda runner: (self.device_bytes(runner.name), len(self._on(runner.name))))
        return ranked[: self._model_devices]

    async def _make_room(self, entry: ModelEntry, needed: int, runners: Sequence[BatchRunner]) -> None:
        """Unloads until the model fits on those devices; its predecessors' memory is free when this returns."""
        budget = self._max_bytes
        if budget is not None and needed > budget:
            raise NotReady(f"{entry.id} takes {needed} bytes, more than all models may here ({budget})")
        freeing = []
        for runner in runners:
            while self._is_crowded(runner.name, needed):
                freeing.append(self._evict(self._on(runner.name)[0].entry.id))
        await asyncio.gather(*freeing)

    def _is_crowded(self, device: str, needed: int) -> bool:
        count, used = len(self._on(device)), self.device_bytes(device)
        too_large = self._max_bytes is not None and used + needed > self._max_bytes
        return count > 0 and (count >= self._max_loaded or too_large)

    def _end_loading(self, key: str, task: asyncio.Task[Engine]) -> None:
        del self._loading[key]
        if not task.cancelled():
            task.exception()  # seen, even if every caller has left

    def _evict(self, key: str) -> asyncio.Task[None]:
        _log.info("unloading %s", key)
        return self._free(self._engines.pop(key))

    def _free(self, engine: Engine) -> asyncio.Task[None]:
        """Frees the engine's memory in a task. Until then it answers the requests that still hold it."""
        task = asyncio.create_task(self._free_idle(engine))
        self._freeing.add(task)
        task.add_done_callback(self._freeing.discard)
        return task

    async def _free_idle(self, engine: Engine) -> None:
        await engine.wait_until_idle()
        usage, devices = engine.usage, {runner.device for runner in engine.runners}
        del engine  # the last reference, unless a request came in between
        await asyncio.to_thread(usage.wait)
        for device in devices:
            await asyncio.to_thread(free_memory, device)
