"""The number of threads of a forward: a share of the processors, or all of them while no other forward runs."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

MIN_COST = 32  # tokens of a batch from which more threads are always faster
CALM_SECONDS = 0.5  # after so long without concurrent forwards, the next one will probably run alone too


class IntraOpThreads:
    """Chooses the threads of each forward. Shared by the inference threads of a device.

    share, all_of_them: numbers of threads.

    A forward on several threads waits at every operation for its slowest thread, so a second forward on the
    same processors delays it. It gets all threads only if no forwards have run at once lately.
    """

    def __init__(self, share: int, all_of_them: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._share, self._all = share, all_of_them
        self._clock = clock
        self._guard = threading.Lock()
        self._running = 0
        self._crowded = clock() - CALM_SECONDS  # when forwards last ran at once, or could have

    @contextmanager
    def of(self, cost: int, *, others_wait: bool) -> Iterator[int]:
        """Yields the number of threads for one forward, which runs within the context."""
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
