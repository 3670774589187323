"""A clock that a test moves."""


class Clock:
    """Stands in for `time.monotonic` and `time.time`: `now` is what it shows."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now
