"""A thread that prepares batches while the model trains."""

import queue
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any


class Prefetcher:
    """Runs an iterator on a thread of its own, two items ahead. An exception is raised by `next`."""

    def __init__(self, source: Iterator[Any]) -> None:
        self._source = source
        self._ready: queue.Queue[Future[Any]] = queue.Queue(maxsize=2)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._fill, name="batches", daemon=True)
        self._thread.start()

    def __next__(self) -> Any:
        return self._ready.get().result()

    def _fill(self) -> None:
        while not self._closed.is_set():
            item: Future[Any] = Future()
            try:
                item.set_result(next(self._source))
            except BaseException as e:
                item.set_exception(e)
                self._closed.set()
            self._ready.put(item)

    def close(self) -> None:
        self._closed.set()
        while self._thread.is_alive():  # the thread may wait for room in the queue
            try:
                self._ready.get(timeout=0.05)
            except queue.Empty:
                continue
