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
        """Halves the budget after a batch of so many padded tokens did not fit in memory."""
        with self._guard:
            self._tokens = max(1, min(self._tokens, padded // 2))
            self._calm = 0

    def recover(self) -> None:
        """Lets a reduced budget grow back slowly after a batch fitted: the memory may be free again."""
        with self._guard:
            self._calm += 1
            if self._calm >= _RECOVERY:
                self._tokens = min(self._max_tokens, self._tokens * 2)
                self._calm = 0
