"""Computes every input once: from the cache, from the same computation of another request, or by the model."""

import asyncio
import logging
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from app.errors import AppError
from app.inference.answer_cache import AnswerCache, CacheObserver
from app.inference.answer_codec import Unreadable, decode, encode
from app.inference.answer_keys import AnswerKeys
from app.serving.batches import Flow
from app.serving.engine import Engine
from app.serving.locating import of_item
from app.telemetry import tracing
from app.telemetry.request_notes import NOTES
from app.types import Classifier, Task

_FEW = 16  # results that are converted on the event loop
_SMALL = 64 * 1024  # bytes of results that are read on the event loop

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Answered:
    """results: one an item, in order. Nothing may change them: other requests have the same objects.

    hits: items whose results were in the cache; None without a cache.
    """

    results: list[Any]
    hits: int | None = None


class _Computation:
    """A call of the engine for items with these keys. Its results are there once `over` is set, unless it failed."""

    def __init__(self, keys: Iterable[Hashable]) -> None:
        self.keys = frozenset(keys)
        self.over = asyncio.Event()
        self.results: dict[Hashable, Any] = {}
        self.failed = False  # not if its caller has left


class SharedAnswers:
    """The answers that requests share. All methods belong to one event loop.

    cache: None keeps no answer; the same inputs are computed once at a time all the same.
    """

    def __init__(
        self, keys: AnswerKeys, cache: AnswerCache | None = None, observer: CacheObserver | None = None
    ) -> None:
        self.cache = cache
        self._keys, self._observer = keys, observer
        self._running: dict[Hashable, _Computation] = {}  # by the key of each of their items

    async def submit(
        self, engine: Engine, task: Task, items: Sequence[Any], flow: Flow | None = None, *, in_span: bool = False
    ) -> Answered:
        """Returns one result for each item, in order. Only items that are computed take permits.

        in_span: whether this call has its span already, where requests are traced.
        Raises what `Engine.submit` raises. An error concerns this call alone and is not kept.
        """
        if tracing.ACTIVE is not None and not in_span:
            with tracing.ACTIVE.inference(engine.entry.id, task, len(items)):
                return await self.submit(engine, task, items, flow, in_span=True)
        if (notes := NOTES.get()) is not None:
            notes.add(engine.entry.id, len(items))
        keys = await self._compute_keys(engine, task, items)
        if self.cache is None and len(keys) == 1 and keys[0] not in self._running:
            found = await self._compute(engine, task, items, {keys[0]: 0}, flow)  # what follows, at less cost
            self._observe(engine, task, computed=1)
            return Answered([found[keys[0]]])
        places: dict[Hashable, int] = {}  # of each different item
        for place, key in enumerate(keys):
            places.setdefault(key, place)
        found = await self._read(list(places), engine.model.classifier)
        hits = sum(key in found for key in keys) if found else 0
        computed = 0
        alone = False
        while missing := [key for key in places if key not in found]:
            joined = set() if alone else self._joinable(missing)
            known = {key for computation in joined for key in computation.keys}
            if own := [key for key in missing if key not in known]:
                found |= await self._compute(engine, task, items, {key: places[key] for key in own}, flow)
                computed += len(own)
            for computation in joined:
                await computation.over.wait()
                found |= computation.results
                alone |= computation.failed
        self._observe(engine, task, hits=hits, shared=len(items) - hits - computed, computed=computed)
        return Answered([found[key] for key in keys], None if self.cache is None else hits)

    async def close(self) -> None:
        if self.cache is not None:
            await self.cache.close()

    def _observe(self, engine: Engine, task: Task, *, computed: int, hits: int = 0, shared: int = 0) -> None:
        if self._observer is not None:
            self._observer.on_answers(engine.entry.id, task, hits=hits, shared=shared, computed=computed)

    async def _compute_keys(self, engine: Engine, task: Task, items: Sequence[Any]) -> list[Hashable]:
        """Returns a key for each item. An item without a key gets one that equals no other."""

        def compute() -> list[Hashable]:
            return [self._keys.compute(engine, task, item) or object() for item in items]

        if engine.require(task).handler.reads_files:  # a file of some MiB takes milliseconds
            return await asyncio.to_thread(compute)
        return compute()

    def _joinable(self, missing: Sequence[Hashable]) -> set[_Computation]:
        """Returns the computations under way whose results are all needed here.

        Others are not joined: an input would wait for all the inputs of another, larger request.
        """
        if not self._running:
            return set()
        wanted = set(missing)
        near = {self._running[key] for key in missing if key in self._running}
        return {computation for computation in near if computation.keys <= wanted}

    async def _compute(
        self, engine: Engine, task: Task, items: Sequence[Any], places: Mapping[Hashable, int], flow: Flow | None
    ) -> dict[Hashable, Any]:
        """Computes the items at these places, and adds their results to the cache."""
        computation = _Computation(places)
        self._running |= dict.fromkeys(places, computation)
        try:
            with _locating(list(places.values()), len(items)):
                results = await engine.submit(task, [items[place] for place in places.values()], flow)
            for result in results:
                _protect(result)
            computation.results = dict(zip(places, results, strict=True))
        except Exception:
            computation.failed = True
            raise
        finally:
            for key in places:
                if self._running.get(key) is computation:
                    del self._running[key]
            computation.over.set()
        await self._write(computation.results, engine.model.classifier)
        return computation.results

    async def _read(self, keys: Sequence[Hashable], classifier: Classifier | None) -> dict[Hashable, Any]:
        if self.cache is None:
            return {}
        found = await self.cache.read([key for key in keys if isinstance(key, bytes)])

        def decode_all() -> dict[Hashable, Any]:
            results: dict[Hashable, Any] = {}
            for key, payload in found.items():
                try:
                    results[key] = decode(payload, classifier)
                except Unreadable as error:
                    _log.warning("an answer in the cache cannot be read, so it is computed again: %s", error)
            return results

        if sum(map(len, found.values())) > _SMALL:
            return await asyncio.to_thread(decode_all)
        return decode_all()

    async def _write(self, results: Mapping[Hashable, Any], classifier: Classifier | None) -> None:
        if self.cache is None:
            return

        def encode_all() -> dict[bytes, bytes]:
            encoded = {key: encode(result, classifier) for key, result in results.items() if isinstance(key, bytes)}
            return {key: each for key, each in encoded.items() if each is not None}

        few = len(results) <= _FEW
        if encoded := encode_all() if few else await asyncio.to_thread(encode_all):
            await self.cache.write(encoded)


def _protect(result: object) -> None:
    """Makes the arrays of a result read-only, as those from the cache are."""
    for value in getattr(result, "__dict__", {}).values():
        if isinstance(value, np.ndarray):
            value.flags.writeable = False


@contextmanager
def _locating(places: Sequence[int], count: int) -> Iterator[None]:
    """Corrects the index of an error that is raised within for the items at these places, of a request with `count`."""
    if len(places) == count:
        yield
    elif len(places) == 1:
        with of_item(places[0], count):
            yield
    else:
        try:
            yield
        except AppError as error:
            if error.index is not None:
                error.index = places[error.index]
            raise
