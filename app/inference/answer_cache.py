"""Caches of answers: the interface, and the one in this process's memory."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from app.types import Task

_OVERHEAD = 256  # bytes of memory that an answer takes beside its own


@dataclass(frozen=True)
class CacheSize:
    """answers: their number. bytes: of all of them, with what keeping them takes."""

    answers: int = 0
    bytes: int = 0


class AnswerCache(Protocol):
    """Encoded results by their keys. No method raises for a cache that is out of reach: it has nothing then."""

    @property
    def size(self) -> CacheSize:
        """The size of the cache, as far as this process knows it."""
        ...

    @property
    def failures(self) -> int:
        """The number of calls that the cache did not answer."""
        ...

    async def read(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """Returns the results that the cache has."""
        ...

    async def write(self, results: Mapping[bytes, bytes]) -> None:
        """Adds results. Beyond its bound, the least recently used ones go."""
        ...

    async def close(self) -> None: ...


class CacheObserver(Protocol):
    """Told how inputs were answered; implemented with Prometheus metrics."""

    def on_answers(self, model: str, task: Task, *, hits: int, shared: int, computed: int) -> None:
        """hits: inputs answered from the cache. shared: by a computation of the same input. computed: by the model."""
        ...


class MemoryCache:
    """A cache in the memory of this process. All methods belong to one event loop. max_bytes: of all answers."""

    failures = 0

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._results: OrderedDict[bytes, bytes] = OrderedDict()  # least recently used first

    @property
    def size(self) -> CacheSize:
        return CacheSize(len(self._results), self._bytes)

    async def read(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        found = {key: self._results[key] for key in keys if key in self._results}
        for key in found:
            self._results.move_to_end(key)
        return found

    async def write(self, results: Mapping[bytes, bytes]) -> None:
        for key, result in results.items():
            self._remove(key)
            self._results[key] = result
            self._bytes += len(result) + _OVERHEAD
        while self._bytes > self._max_bytes:
            self._remove(next(iter(self._results)))

    async def close(self) -> None:
        self._results.clear()
        self._bytes = 0

    def _remove(self, key: bytes) -> None:
        if (result := self._results.pop(key, None)) is not None:
            self._bytes -= len(result) + _OVERHEAD
