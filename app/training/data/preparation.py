"""Progress events while a job's files are prepared, and the request to stop."""

import time
from collections.abc import Callable

from app.training.hooks import Hooks, Stopped

SECONDS, SHARE = 10.0, 0.05  # least time, and least share of the file, between two events
ASKING = 0.25  # seconds between two questions whether to stop, which go to a server


class PreparationProgress:
    """Reports how far a file of `size` bytes is prepared. Calls raise Stopped when the run has to stop.

    verb: the work, in messages.
    """

    def __init__(
        self,
        hooks: Hooks,
        filename: str,
        size: int,
        clock: Callable[[], float] = time.monotonic,
        *,
        verb: str = "preparing",
    ) -> None:
        self._hooks, self._filename, self._size, self._clock, self._verb = hooks, filename, size, clock, verb
        self._reported_at, self._reported = clock(), 0  # time and bytes of the latest event
        self._waiting = False
        self._asked_at: float | None = None

    def __call__(self, read: int | None) -> None:
        """Reports `read` bytes of the file, or None while another job prepares it."""
        self.check()
        if read is None:
            if not self._waiting:
                self._hooks.on_event(f"Waiting for another job that is {self._verb} {self._filename}")
            self._waiting = True
            return
        seconds, fresh = self._clock() - self._reported_at, read - self._reported
        if seconds < SECONDS or fresh < SHARE * self._size:
            return
        pace = fresh / seconds
        self._hooks.on_event(
            f"{self._verb.capitalize()} {self._filename}: {_mb(read)} of {_mb(self._size)} MB, {pace / 1e6:,.1f} MB/s",
            {"file": self._filename, "bytes": read, "total_bytes": self._size, "bytes_per_second": round(pace)},
        )
        self._reported_at, self._reported = self._clock(), read

    def check(self) -> None:
        """Raises Stopped when the run has to stop. Cheap enough to be called for every item."""
        if self._asked_at is not None and self._clock() - self._asked_at < ASKING:
            return
        self._asked_at = self._clock()
        reason = self._hooks.should_stop()
        if reason:
            raise Stopped(reason)


def _mb(count: int) -> str:
    return f"{count / 1e6:,.0f}"
