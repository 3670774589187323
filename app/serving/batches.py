"""Entries that wait for a device, and the choice of those that run together."""

import itertools
from collections.abc import Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

K = TypeVar("K", bound=Hashable)
AnyK = TypeVar("AnyK", contravariant=True)

_PADDING = 2  # a batch costs at most this many times its own tokens, so at most half of it is padding


@dataclass(eq=False, slots=True)
class Flow:
    """One request, or one stream, that shares the device with the others.

    virtual_time: of its next entry, in tokens. pending: entries of it that wait or run. The batcher counts both.
    """

    virtual_time: int = 0
    pending: int = 0


@dataclass(frozen=True, eq=False, slots=True)
class Entry(Generic[K]):
    """One row that waits. `cost` is in tokens, at least 1; only entries of equal `key` share a batch.

    padded: a batch pads it to its longest entry; the same for all entries of a key.
    """

    inputs: Any
    cost: int
    key: K
    future: Future[Any]
    padded: bool = True
    span: object = None  # of the request, if it is traced


@dataclass(frozen=True, eq=False, slots=True)
class Batch(Generic[K]):
    key: K
    entries: Sequence[Entry[K]]  # shortest first

    @property
    def tokens(self) -> int:
        """Tokens without padding."""
        return sum(entry.cost for entry in self.entries)

    @property
    def padded(self) -> int:
        """Tokens with padding, if there is any: what the batch takes of the budget."""
        if not self.entries[0].padded:
            return self.tokens
        return len(self.entries) * max(entry.cost for entry in self.entries)


class Taker(Protocol[AnyK]):
    """The side of a device that takes batches from the queue."""

    @property
    def budget(self) -> int:
        """Tokens of its next batch at most; an entry beyond it runs alone."""
        ...

    @property
    def busy(self) -> bool:
        """Whether a batch that is taken now has to wait for one that runs."""
        ...

    def shares(self, key: AnyK) -> int:
        """The number of batches of that key that may run at once, on this device and on others; 0: none on this one."""
        ...


def fill(costs: Sequence[int], budget: int) -> list[int]:
    """Places in `costs` (oldest first) that share a batch with place 0, in ascending order of cost.

    From the oldest entry it goes down in length, then up, as long as the padded batch stays within
    the budget and at most half of it is padding. Among equal costs the oldest go first.
    """
    ranked = sorted(range(len(costs)), key=lambda place: (costs[place], -place))
    low = high = ranked.index(0)
    tokens = costs[0]

    def fits(longest: int, added: int) -> bool:
        return (high - low + 2) * longest <= min(budget, _PADDING * (tokens + added))

    while low > 0 and fits(costs[0], costs[ranked[low - 1]]):
        low -= 1
        tokens += costs[ranked[low]]
    while high + 1 < len(ranked) and fits(costs[ranked[high + 1]], costs[ranked[high + 1]]):
        high += 1
        tokens += costs[ranked[high]]
    return ranked[low : high + 1]


def take(costs: Sequence[int], budget: int) -> list[int]:
    """The first places in `costs` that the budget has room for, at least one, in ascending order of cost."""
    count = sum(1 for tokens in itertools.accumulate(costs) if tokens <= budget)
    return sorted(range(max(1, count)), key=lambda place: costs[place])
