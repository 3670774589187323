"""What runs next: a token-budget batcher without a wait window, and admission by permits.

When the device frees up, `next_batch` takes the group of the oldest waiting entry and fills the
batch with entries of that group which are near it in length. Every batch holds the oldest entry of
all, so none starves. A batch that is padded to its longest entry costs longest × count tokens; one
that is not costs its tokens, and takes the oldest entries of any length. Where several batches run at
once, one takes no more than its share of what waits.

Imports no torch, no HTTP and no asyncio; every method may be called from any thread.
"""

import itertools
import math
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

from app.errors import Busy, NotReady, TooLarge

G = TypeVar("G", bound=Hashable)

_WINDOW = 2048  # entries looked at for one batch, oldest first
_SHARED = 128  # tokens of a batch up to which it is better to run them together than beside each other
_PADDING = 2  # a batch costs at most this many times its own tokens, so at most half of it is padding
_RECOVERY = 64  # batches without trouble after which a shrunk budget doubles
_RATE_SPAN = 30.0  # seconds of history behind `retry_after`
_MAX_RETRY_AFTER = 60  # seconds


@dataclass(frozen=True, eq=False, slots=True)
class Entry(Generic[G]):
    """One input that waits. `cost` is in tokens, at least 1; only entries of equal `group` share a batch.

    padded: a batch pads it to its longest entry; the same for all of a group.
    """

    prepared: Any
    cost: int
    group: G
    future: Future[Any]
    padded: bool = True


@dataclass(frozen=True, eq=False, slots=True)
class Batch(Generic[G]):
    group: G
    entries: Sequence[Entry[G]]  # shortest first

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


class Batcher(Generic[G]):
    """The queue of one device.

    max_tokens: budget of a batch; an entry beyond it runs alone.
    max_inputs: permits, one for every input that is being prepared, waits or runs.
    shares: batches that run at once.
    """

    def __init__(
        self, max_tokens: int, max_inputs: int, *, shares: int = 1, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.max_tokens = max_tokens
        self.max_inputs = max_inputs
        self.shares = shares
        self._budget = max_tokens
        self._calm = 0  # batches without trouble since the budget last changed
        self._clock = clock
        self._changed = threading.Condition()
        self._queues: dict[G, OrderedDict[int, Entry[G]]] = {}  # arrival number → entry; no queue is empty
        self._arrivals = itertools.count()
        self._in_use = 0
        self._ended: deque[float] = deque(maxlen=1024)  # when the last inputs ended
        self._closed = False

    @property
    def budget(self) -> int:
        return self._budget

    @property
    def in_use(self) -> int:
        """Permits held."""
        return self._in_use

    @property
    def waiting(self) -> int:
        """Entries in the queue."""
        with self._changed:
            return sum(len(queue) for queue in self._queues.values())

    # Admission

    def admit(self, count: int) -> list[Future[Any]]:
        """`count` futures that hold one permit each until they end: by result, error or cancellation.

        All or none. Raises Busy when that many permits are not free, TooLarge when they never can be,
        NotReady after `close`.
        """
        if count > self.max_inputs:
            raise TooLarge(f"{count} inputs in one request; this server takes at most {self.max_inputs} at a time")
        with self._changed:
            if self._closed:
                raise NotReady("the server is shutting down")
            excess = self._in_use + count - self.max_inputs
            if excess > 0:
                raise self._busy(excess)
            self._in_use += count
        futures: list[Future[Any]] = [Future() for _ in range(count)]
        for future in futures:
            future.add_done_callback(self._release)
        return futures

    def refusal(self, coming: int) -> Busy | None:
        """What one more input is refused with beside those that hold permits; None if one is free.

        coming: requests that are being read, each of which needs a permit or holds one.
        """
        with self._changed:
            excess = max(self._in_use, coming) + 1 - self.max_inputs
            return self._busy(excess) if excess > 0 else None

    def _busy(self, excess: int) -> Busy:
        return Busy(
            f"{self._in_use} inputs are waiting or running, of {self.max_inputs} allowed; try again later",
            retry_after=self._retry_after(excess),
        )

    def _release(self, _: Future[Any]) -> None:
        with self._changed:
            self._in_use -= 1
            self._ended.append(self._clock())

    def _retry_after(self, excess: int) -> int:
        """Whole seconds until `excess` permits are free, at the rate at which inputs ended lately."""
        now = self._clock()
        while self._ended and self._ended[0] < now - _RATE_SPAN:
            self._ended.popleft()
        if not self._ended:
            return 1
        seconds = excess * (now - self._ended[0]) / len(self._ended)
        return max(1, min(_MAX_RETRY_AFTER, math.ceil(seconds)))

    # The queue

    def put(self, entries: Sequence[Entry[G]]) -> None:
        """Queues entries in order; after `close` they get NotReady. A cancelled future leaves the queue."""
        with self._changed:
            closed = self._closed
            numbered = [] if closed else [(next(self._arrivals), entry) for entry in entries]
            for number, entry in numbered:
                self._queues.setdefault(entry.group, OrderedDict())[number] = entry
            self._changed.notify()
        if closed:
            _refuse(entries)
        for number, entry in numbered:
            entry.future.add_done_callback(partial(self._forget, entry.group, number))

    def _forget(self, group: G, number: int, future: Future[Any]) -> None:
        if future.cancelled():
            with self._changed:
                self._remove(group, [number])

    def _remove(self, group: G, numbers: Iterable[int]) -> None:
        queue = self._queues.get(group)
        if queue is None:
            return
        for number in numbers:
            queue.pop(number, None)
        if not queue:
            # A group keeps its model alive, so an empty queue may not stay.
            del self._queues[group]

    def next_batch(self, timeout: float | None = None) -> Batch[G] | None:
        """Blocks until something waits; None after `timeout` seconds or once closed.

        The futures of the batch are running from here on: cancelling them has no effect.
        """
        with self._changed:
            while self._changed.wait_for(lambda: self._closed or self._queues, timeout) and not self._closed:
                if (batch := self._take()) is not None:
                    if self._queues:
                        self._changed.notify()  # there is some left for another thread
                    return batch
        return None

    def _take(self) -> Batch[G] | None:
        """The next batch; None if every entry of it was cancelled at this very moment."""
        group = min(self._queues, key=lambda group: next(iter(self._queues[group])))
        window = list(itertools.islice(self._queues[group].items(), _WINDOW))
        pick = fill if window[0][1].padded else take
        costs = [entry.cost for _, entry in window]
        share = self._budget if self.shares == 1 else max(_SHARED, math.ceil(sum(costs) / self.shares))
        chosen = [window[place] for place in pick(costs, min(self._budget, share))]
        self._remove(group, [number for number, _ in chosen])
        alive = [entry for _, entry in chosen if entry.future.set_running_or_notify_cancel()]
        return Batch(group, alive) if alive else None

    def close(self) -> None:
        """Whatever waits gets NotReady, and so does whatever comes later."""
        with self._changed:
            self._closed = True
            left = [entry for queue in self._queues.values() for entry in queue.values()]
            self._queues.clear()
            self._changed.notify_all()
        _refuse(left)

    # The budget

    def shrink(self, padded: int) -> None:
        """A batch of so many padded tokens did not fit in memory: from now on at most half of it."""
        with self._changed:
            self._budget = max(1, min(self._budget, padded // 2))
            self._calm = 0

    def recover(self) -> None:
        """A batch fitted. A shrunk budget grows back slowly: what took the memory may be gone."""
        with self._changed:
            self._calm += 1
            if self._calm >= _RECOVERY:
                self._budget = min(self.max_tokens, self._budget * 2)
                self._calm = 0


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


def _refuse(entries: Iterable[Entry[G]]) -> None:
    for entry in entries:
        if entry.future.set_running_or_notify_cancel():
            entry.future.set_exception(NotReady("the server is shutting down"))
