"""How many threads a forward gets: a share of the processors, or all of them while none is beside it."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

MIN_COST = 32  # of a batch's cost, tokens for texts, from which more threads are surely quicker
CALM_SECONDS = 0.5  # seconds without forwards beside each other: who comes next will likely be alone too


class IntraOpThreads:
    """Shared by the inference threads of a device. share, all_of_them: numbers of threads.

    A forward on several threads waits at every operation for whichever was pushed aside, so it suffers
    from one that starts beside it. Hence one is wide only where forwards have lately been alone.
    """

    def __init__(self, share: int, all_of_them: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._share, self._all = share, all_of_them
        self._clock = clock
        self._guard = threading.Lock()
        self._running = 0
        self._crowded = clock() - CALM_SECONDS  # when forwards last ran beside each other, or could have

    @contextmanager
    def of(self, cost: int, *, others_wait: bool) -> Iterator[int]:
        """Threads for a forward that runs within it, and does nothing else there."""
        with self._guard:
            now = self._clock()
            if self._running or others_wait:
                self._crowded = now
            calm = now - self._crowded >= CALM_SECONDS
            self._running += 1
        try:
            yield self._all if calm and cost >= MIN_COST else self._share
        finally:
            with self._guard:
                self._running -= 1
