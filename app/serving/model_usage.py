"""The count of threads that still work on a model, which is asked before its memory is free."""

import threading


class ModelUsage:
    """Counts the threads that hold a batch of a model. Knows nothing of the model, so it keeps no memory.

    A request is answered before the thread that computed it has left the functions whose variables refer to the
    model. The model's memory is free once `wait` has returned and nobody else refers to it.
    """

    def __init__(self) -> None:
        self._count = 0
        self._changed = threading.Condition()

    def begin(self) -> None:
        with self._changed:
            self._count += 1

    def end(self) -> None:
        """Ends the use by a thread. Call it when no variable of the thread refers to the model any more."""
        with self._changed:
            self._count -= 1
            if not self._count:
                self._changed.notify_all()

    def wait(self) -> None:
        """Returns once no thread holds a batch of the model."""
        with self._changed:
            self._changed.wait_for(lambda: not self._count)
