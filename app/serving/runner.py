"""Runs batches on one device.

A GPU has one inference thread, and a feeding thread that collates the batch after its own meanwhile. A
processor may have several inference threads, each with a replica of the model (`replicate`): forwards beside
each other use it better than the threads of one, which wait for each other. They take their batches
themselves, when they can start on them: all that has come until then may be in one.

An error goes to every waiter of its batch, and to no other. A batch that does not fit in memory is
split in halves. A thread that dies fails what it held, turns `alive` False, and is restarted.
"""

import copy
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from app.devices import free_memory, is_out_of_memory, serving_forwards
from app.errors import AppError, NotReady, TooLarge
from app.serving.batcher import Batcher
from app.serving.batches import Batch, Entry
from app.serving.intra_op_threads import IntraOpThreads
from app.serving.observer import EngineObserver
from app.serving.served_task import ServedTask

_RESTART_DELAY = 1.0  # seconds; a thread that dies at once may not spin

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Work:
    batch: Batch[ServedTask]
    collated: Any


class Runner:
    """The threads of a device, and one that restarts them.

    forwards, threads: how many at once, and of how many threads each; unset: see `serving_forwards`.
    ahead: batches that are ready before one can start; unset: one on a GPU.
    `wait(seconds)` delays a restart and returns True if the runner is stopping; tests replace it.
    """

    def __init__(
        self,
        device: torch.device,
        *,
        max_batch_tokens: int = 16384,
        max_queued_inputs: int = 8192,
        forwards: int | None = None,
        threads: int | None = None,
        ahead: int | None = None,
        observer: EngineObserver | None = None,
        wait: Callable[[float], bool] | None = None,
    ) -> None:
        self.device = device
        self.forwards = serving_forwards(device, forwards, threads)
        self.batcher: Batcher[ServedTask] = Batcher(max_batch_tokens, max_queued_inputs, shares=self.forwards.at_once)
        self.restarts = 0
        self._intra_op_threads = IntraOpThreads(self.forwards.threads, self.forwards.alone)
        self._observer = observer
        self._stopping = threading.Event()
        self._wait = wait or self._stopping.wait
        self._ahead = int(device.type != "cpu") if ahead is None else ahead
        self._slot: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        self._room = threading.Semaphore(self._ahead)  # held from taking a batch until the device starts on it
        self._loops: dict[str, Callable[[], None]] = {"feed": self._feed} if self._ahead else {}
        self._loops |= {f"infer-{number}": partial(self._infer, number) for number in range(self.forwards.at_once)}
        self._dead: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._living: set[str] = set()
        self._threads: dict[str, threading.Thread] = {}

    @property
    def alive(self) -> bool:
        return len(self._living) == len(self._loops)

    def start(self) -> None:
        torch.set_num_threads(self.forwards.threads)
        for name in self._loops:
            self._launch(name)
        self._threads["supervise"] = threading.Thread(target=self._supervise, name="supervise", daemon=True)
        self._threads["supervise"].start()

    def stop(self) -> None:
        """Finishes what has been taken from the queue; the rest gets NotReady."""
        self._stopping.set()
        self._dead.put(None)
        self.batcher.close()
        self._room.release()  # the feeding thread may be waiting for an inference thread that is dead
        for name in ("supervise", *self._loops):
            if name in self._threads:
                self._threads[name].join()
            if name == "feed":
                for _ in range(self.forwards.at_once):
                    self._slot.put(None)
        while not self._slot.empty():  # a dead inference thread left it
            if (work := self._slot.get()) is not None:
                _fail(work.batch.entries, NotReady("the server is shutting down"))

    # Life and death of the threads

    def _launch(self, name: str) -> None:
        self._living.add(name)
        thread = threading.Thread(target=self._live, args=(name,), name=f"{self.device}-{name}", daemon=True)
        self._threads[name] = thread
        thread.start()

    def _live(self, name: str) -> None:
        try:
            self._loops[name]()
        except BaseException:
            _log.exception("the %s thread of %s died", name, self.device)
            self._living.discard(name)
            self._dead.put(name)
        else:
            self._living.discard(name)

    def _supervise(self) -> None:
        while (name := self._dead.get()) is not None:
            if self._wait(_RESTART_DELAY):
                return
            self.restarts += 1
            _log.warning("restarting the %s thread of %s", name, self.device)
            self._launch(name)

    # Each round of a thread is a call, so that an idle one keeps no batch, and no model, alive.

    def _taken(self) -> _Work | None:
        """The next batch; None once there are no more."""
        while (batch := self.batcher.next_batch()) is not None:
            if (work := _collated(batch)) is not None:
                return work
            del batch
        return None

    # The feeding thread

    def _feed(self) -> None:
        while self._feed_one():
            pass

    def _feed_one(self) -> bool:
        self._room.acquire()
        work = None
        try:
            work = self._taken()
        finally:
            if work is None:
                self._room.release()
        if work is not None:
            self._slot.put(work)
        return work is not None

    # The inference threads

    def _infer(self, number: int) -> None:
        if self.device.type == "cuda":
            torch.cuda.set_device(self.device)
        while self._infer_one(number):
            pass

    def _infer_one(self, number: int) -> bool:
        work = self._slot.get() if self._ahead else self._taken()
        if work is None:
            return False
        if self._ahead:
            self._room.release()
        try:
            if self._answered(work.batch, work.collated, number):
                self.batcher.recover()
            else:
                self._halve(work.batch, number)
        except BaseException as error:
            _fail_or_die(work.batch.entries, error)
        return True

    def _answered(self, batch: Batch[ServedTask], collated: Any, number: int) -> bool:
        """Runs a batch on that replica and hands out its results; False if it does not fit in memory."""
        served = batch.key
        started = time.perf_counter()
        try:
            others_wait = self.batcher.waiting > 0
            with self._intra_op_threads.of(batch.tokens, others_wait=others_wait) as threads, torch.inference_mode():
                torch.set_num_threads(threads)  # OpenMP keeps the number per thread
                raws = served.handlers[number].run(collated)
            torch.set_num_threads(self.forwards.threads)  # and threads that begin later take the last one
        except Exception as error:
            if is_out_of_memory(error):
                return False  # leaving the handler frees the tensors that the traceback holds
            raise
        if len(raws) != len(batch.entries):
            raise RuntimeError(f"{served.model} gave {len(raws)} results for {len(batch.entries)} inputs")
        seconds = time.perf_counter() - started
        if self._observer is not None:
            self._observer.on_batch(served.model, served.task, len(batch.entries), batch.tokens, seconds)
        for entry, raw in zip(batch.entries, raws, strict=True):
            entry.future.set_result(raw)
        return True

    def _halve(self, batch: Batch[ServedTask], number: int) -> None:
        """A batch that did not fit: its halves, each with an outcome of its own."""
        free_memory(self.device)
        count = len(batch.entries)
        if count == 1:
            cost = batch.entries[0].cost
            _fail(batch.entries, TooLarge(f"an input of {cost} tokens does not fit in the memory of {self.device}"))
            return
        self.batcher.shrink(batch.padded)
        _log.warning("%d inputs do not fit in the memory of %s: splitting", count, self.device)
        for entries in (batch.entries[: count // 2], batch.entries[count // 2 :]):
            half = Batch(batch.key, entries)
            try:
                if (work := _collated(half)) is not None and not self._answered(half, work.collated, number):
                    self._halve(half, number)
            except Exception as error:
                _fail_or_die(entries, error)


def _collated(batch: Batch[ServedTask]) -> _Work | None:
    """None if that failed, which its waiters have been told."""
    try:
        return _Work(batch, batch.key.handler.collate([entry.inputs for entry in batch.entries]))
    except BaseException as error:
        _fail_or_die(batch.entries, error)
        return None


def _fail_or_die(entries: Iterable[Entry[ServedTask]], error: BaseException) -> None:
    """Fails the entries; what is no Exception (SystemExit, say) goes on and ends the thread."""
    _fail(entries, error)
    if not isinstance(error, Exception):
        raise error
    _log.error("a batch failed", exc_info=error)


def _fail(entries: Iterable[Entry[ServedTask]], error: BaseException) -> None:
    for entry in entries:
        if not entry.future.done():
            entry.future.set_exception(
                copy_for_waiter(error, "the model failed on this input, or on one that ran beside it")
            )


def copy_for_waiter(error: BaseException, otherwise: str) -> AppError:
    """An error for one waiter alone: raising one object in several tasks would mix their tracebacks.

    AppErrors are copied; of any other error the user sees only `otherwise`, and the log has the rest.
    """
    return copy.copy(error) if isinstance(error, AppError) else AppError(otherwise)
