"""A token-budget batcher without a wait window, and admission by permits.

Requests share the device fairly. Each has a `Flow`, and each entry a virtual time: the tokens of its flow so far,
counted from where the device was when the flow began (self-clocked fair queueing, Golestani 1994,
https://doi.org/10.1109/INFCOM.1994.337677). So a new request precedes the rest of a large one, and no request
starves. When the device is free, `next_batch` takes the entry with the lowest virtual time. It fills the batch with
entries of equal key and similar length. Those of other flows have a similar virtual time too.
A batch that is padded to its longest entry costs longest × count tokens; one that is not costs its tokens, and
takes entries of any length. Where several batches run at once, one takes no more than its share of what waits;
where several flows are served, none fills long batches.

Several devices may take from one queue. Each takes what it can run, so a batch runs on a device that is free.

Imports no torch, no HTTP and no asyncio; every method may be called from any thread.
"""

import itertools
import math
import random
import threading
import time
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any, Generic, NamedTuple

from app.errors import Busy, NotReady, TooLarge
from app.serving.batches import Batch, Entry, Flow, K, Taker, fill, take

_WINDOW = 2048  # entries looked at for one batch, in the order of their virtual times
_AHEAD = 128  # tokens by which an entry's virtual time may exceed the first one's, if their flows differ
_BESIDE = 512  # tokens of one flow in a batch while others are served, so that they wait a short time for it
_ALONE = 2.0  # seconds without entries of another flow after which a flow is alone again
_SHARED = 128  # tokens of a batch up to which it is better to run them together than beside each other
_RATE_SPAN = 30.0  # seconds of history behind `retry_after`
_MAX_RETRY_AFTER = 60  # seconds
_JITTER = 0.5  # by which a `retry_after` is longer at most, so that clients do not come back at once


class _Place(NamedTuple):
    """An entry in the queue, in the order of virtual times, then of arrival."""

    virtual_time: int
    number: int
    flow: Flow
    entry: Entry[Any]


class Batcher(Generic[K]):
    """The queue of one device, or of several.

    max_tokens: of the largest batch.
    max_inputs: permits, one for every input that is being prepared, waits or runs.
    shares: batches that run at once, on all devices.
    chance: a random number of [0, 1).
    """

    def __init__(
        self,
        max_tokens: int,
        max_inputs: int,
        *,
        shares: int = 1,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.max_tokens = max_tokens
        self.max_inputs = max_inputs
        self.shares = shares
        self._clock, self._chance = clock, chance
        self._changed = threading.Condition()
        self._queues: dict[K, list[_Place]] = {}  # sorted; no queue is empty
        self._waiting: list[Taker[K]] = []  # one for each thread that waits for a batch
        self._arrivals = itertools.count()
        self._virtual_time = 0  # of the device; flows begin there
        self._flows = 0  # that have entries waiting or running
        self._crowded = clock() - _ALONE  # when there were last several
        self._in_use = 0
        self._ended: deque[float] = deque(maxlen=1024)  # when the last inputs ended
        self._closed = False

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
            if self._in_use + count > self.max_inputs:
                raise self._busy()
            self._in_use += count
        futures: list[Future[Any]] = [Future() for _ in range(count)]
        for future in futures:
            future.add_done_callback(self._release)
        return futures

    def refusal(self, coming: int) -> Busy | None:
        """Returns the error for one more input beside those that hold permits; None if a permit is free.

        coming: requests that are being read, each of which needs a permit or holds one.
        """
        with self._changed:
            return self._busy() if max(self._in_use, coming) >= self.max_inputs else None

    def _busy(self) -> Busy:
        return Busy(
            f"{self._in_use} inputs are waiting or running, of {self.max_inputs} allowed; try again later",
            retry_after=self._retry_after(),
        )

    def _release(self, _: Future[Any]) -> None:
        with self._changed:
            self._in_use -= 1
            self._ended.append(self._clock())

    def _retry_after(self) -> int:
        """Whole seconds in which all that is here now ends, at the rate at which inputs ended lately, or a bit more.

        Who comes back when the first permit is free finds it taken: many others are told the same.
        """
        now = self._clock()
        while self._ended and self._ended[0] < now - _RATE_SPAN:
            self._ended.popleft()
        seconds = self._in_use * (now - self._ended[0]) / len(self._ended) if self._ended else 1.0
        return max(1, min(_MAX_RETRY_AFTER, math.ceil(seconds * (1 + _JITTER * self._chance()))))

    # The queue

    def put(self, entries: Sequence[Entry[K]], flow: Flow | None = None) -> None:
        """Queues a flow's entries in order; after `close` they get NotReady. A cancelled future leaves the queue.

        flow: unset, the entries are a flow by themselves.
        """
        with self._changed:
            closed = self._closed
            places = [] if closed else self._placed(entries, flow or Flow())
            for place in places:
                insort(self._queues.setdefault(place.entry.key, []), place)  # mostly at its end
            self._wake()
        if closed:
            _refuse(entries)
        for place in places:
            place.entry.future.add_done_callback(partial(self._end, place))

    def _placed(self, entries: Sequence[Entry[K]], flow: Flow) -> list[_Place]:
        if entries and not flow.pending:
            self._flows += 1
        flow.pending += len(entries)
        flow.virtual_time = max(flow.virtual_time, self._virtual_time)
        places = []
        for entry in entries:
            places.append(_Place(flow.virtual_time, next(self._arrivals), flow, entry))
            flow.virtual_time += entry.cost
        return places

    def _end(self, place: _Place, future: Future[Any]) -> None:
        with self._changed:
            place.flow.pending -= 1
            if not place.flow.pending:
                self._flows -= 1
            if future.cancelled():
                self._forget(place)

    def _forget(self, place: _Place) -> None:
        queue = self._queues.get(place.entry.key, [])
        index = bisect_left(queue, place)
        if index < len(queue) and queue[index] is place:
            self._remove(place.entry.key, {index})

    def _remove(self, key: K, chosen: set[int]) -> None:
        """Takes those indices, which are within the window or a single one, out of a queue."""
        queue = self._queues[key]
        start, stop = min(chosen), max(chosen) + 1
        queue[start:stop] = [queue[index] for index in range(start, stop) if index not in chosen]
        if not queue:
            # A key keeps its model alive, so an empty queue may not stay.
            del self._queues[key]

    def next_batch(self, taker: Taker[K], timeout: float | None = None) -> Batch[K] | None:
        """Blocks until something waits that the taker can run; None after `timeout` seconds or once closed.

        The futures of the batch are running from here on: cancelling them has no effect.
        """
        with self._changed:
            self._waiting.append(taker)
            try:
                while (key := self._wait(taker, timeout)) is not None:
                    if (batch := self._take(taker, key)) is not None:
                        if self._queues:
                            self._wake()  # there is some left for another thread
                        return batch
            finally:
                self._waiting.remove(taker)
        return None

    def _wait(self, taker: Taker[K], timeout: float | None) -> K | None:
        """Blocks until there is a key for the taker, and returns it; None after `timeout` or once closed."""
        key: K | None = None

        def over() -> bool:
            nonlocal key
            key = None if self._closed else self._next_key(taker)
            return self._closed or key is not None

        self._changed.wait_for(over, timeout)
        return key

    def _wake(self) -> None:
        """Wakes a thread, or all of them if they wait for different keys."""
        if any(taker is not self._waiting[0] for taker in self._waiting):
            self._changed.notify_all()
        else:
            self._changed.notify()

    def _next_key(self, taker: Taker[K]) -> K | None:
        """Returns the key whose turn it is among those that the taker is to run."""
        keys = [key for key in self._queues if self._takes(taker, key)]
        return min(keys, key=lambda key: self._queues[key][0][:2], default=None)

    def _takes(self, taker: Taker[K], key: K) -> bool:
        """Tells whether the taker is to run a key. A busy one leaves it to one that waits idly."""
        if not taker.shares(key):
            return False
        return not taker.busy or not any(other.shares(key) and not other.busy for other in self._waiting)

    def _take(self, taker: Taker[K], key: K) -> Batch[K] | None:
        """The next batch of a key; None if every entry of it was cancelled at this very moment."""
        queue = self._queues[key]
        first = queue[0]
        near = self._near(queue)
        costs = [queue[index].entry.cost for index in near]
        pick = fill if first.entry.padded else take
        chosen = [near[place] for place in pick(costs, _share(costs, taker.budget, taker.shares(key)))]
        # Where it ends, but before its flow's next entry: a flow that begins now goes before that one.
        self._virtual_time = max(self._virtual_time, first.virtual_time + max(1, first.entry.cost - 1))
        entries = [queue[index].entry for index in chosen]
        self._remove(key, set(chosen))
        alive = [entry for entry in entries if entry.future.set_running_or_notify_cancel()]
        return Batch(key, alive) if alive else None

    def _near(self, queue: Sequence[_Place]) -> Sequence[int]:
        """Returns the indices of entries that may share a batch with the first one."""
        now = self._clock()
        if self._flows > 1:
            self._crowded = now
        elif now - self._crowded >= _ALONE:
            return range(min(len(queue), _WINDOW))
        first = queue[0]
        tokens: dict[Flow, int] = {}
        near = []
        for index, place in enumerate(queue[:_WINDOW]):
            taken = tokens.get(place.flow, 0) + place.entry.cost
            other = place.flow is not first.flow
            if (other and place.virtual_time > first.virtual_time + _AHEAD) or (index and taken > _BESIDE):
                continue
            tokens[place.flow] = taken
            near.append(index)
        return near

    def close(self) -> None:
        """Whatever waits gets NotReady, and so does whatever comes later."""
        with self._changed:
            self._closed = True
            left = [place.entry for queue in self._queues.values() for place in queue]
            self._queues.clear()
            self._changed.notify_all()
        _refuse(left)


def _share(costs: Sequence[int], budget: int, shares: int) -> int:
    """Returns the tokens of a batch: no more than its share of what waits, unless that is very little."""
    return budget if shares == 1 else min(budget, max(_SHARED, math.ceil(sum(costs) / shares)))


def _refuse(entries: Iterable[Entry[K]]) -> None:
    for entry in entries:
        if entry.future.set_running_or_notify_cancel():
            entry.future.set_exception(NotReady("the server is shutting down"))
