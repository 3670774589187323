"""Progress reports while a job's files are prepared, and the way to stop."""

import time
from collections.abc import Callable

from app.training.hooks import Hooks, Stopped

SECONDS, SHARE = 10.0, 0.05  # an event tells of a file so long, and so much of it, after the one before
ASKING = 0.25  # seconds: whether to stop is asked of a server


class PreparationProgress:
    """Listens to the making of one file's shard. size: the file's bytes. Raises Stopped when the run is to stop."""

    def __init__(self, hooks: Hooks, filename: str, size: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._hooks, self._filename, self._size, self._clock = hooks, filename, size, clock
        self._told_at, self._told = clock(), 0
        self._waiting = False
        self._asked_at: float | None = None

    def __call__(self, read: int | None) -> None:
        """read: bytes of the file; None while another job does the work."""
        self.check()
        if read is None:
            if not self._waiting:
                self._hooks.on_event(f"Waiting for another job that is preparing {self._filename}")
            self._waiting = True
            return
        seconds, fresh = self._clock() - self._told_at, read - self._told
        if seconds < SECONDS or fresh < SHARE * self._size:
            return
        pace = fresh / seconds
        self._hooks.on_event(
            f"Preparing {self._filename}: {_mb(read)} of {_mb(self._size)} MB, {pace / 1e6:,.1f} MB/s",
            {"file": self._filename, "bytes": read, "total_bytes": self._size, "bytes_per_second": round(pace)},
        )
        self._told_at, self._told = self._clock(), read

    def check(self) -> None:
        """Raises Stopped when the run is to stop; cheap enough to be called for every item."""
        if self._asked_at is not None and self._clock() - self._asked_at < ASKING:
            return
        self._asked_at = self._clock()
        if reason := self._hooks.should_stop():
            raise Stopped(reason)


def _mb(count: int) -> str:
    return f"{count / 1e6:,.0f}"
