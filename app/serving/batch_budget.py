"""The number of tokens that a batch of one device may have."""

import threading

_RECOVERY = 64  # batches without trouble after which a shrunk budget doubles


class BatchBudget:
    """At most `max_tokens`, and fewer for some time after a batch did not fit in memory."""

    def __init__(self, max_tokens: int) -> None:
        self._max_tokens = max_tokens
        self._tokens = max_tokens
        self._calm = 0  # batches without trouble since the budget last changed
        self._guard = threading.Lock()

    @property
    def tokens(self) -> int:
        return self._tokens

    def shrink(self, padded: int) -> None:
        """A batch of so many padded tokens did not fit in memory: from now on at most half of it."""
        with self._guard:
            self._tokens = max(1, min(self._tokens, padded // 2))
            self._calm = 0

    def recover(self) -> None:
        """A batch fitted. A shrunk budget grows back slowly: what took the memory may be gone."""
        with self._guard:
            self._calm += 1
            if self._calm >= _RECOVERY:
                self._tokens = min(self._max_tokens, self._tokens * 2)
                self._calm = 0
