"""Runs batches on one device. The runners of several devices may share one queue.

A GPU has one inference thread, and a feeding thread that collates the batch after its own meanwhile. A
processor may have several inference threads, each with a replica of the model (`replicate`): forwards beside
each other use it better than the threads of one, which wait for each other. They take their batches
themselves, when they can start on them: all that has come until then may be in one.

An error goes to every waiter of its batch, and to no other. A batch that does not fit in memory is
split in halves. A thread that dies fails what it held, turns `alive` False, and is restarted.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from app.devices import Forwards, free_memory, is_out_of_memory
from app.errors import NotReady, TooLarge
from app.serving.batch_budget import BatchBudget
from app.serving.batcher import Batcher
from app.serving.batches import Batch
from app.serving.failures import fail, fail_or_die
from app.serving.intra_op_threads import IntraOpThreads
from app.serving.model_usage import ModelUsage
from app.serving.observer import EngineObserver
from app.serving.served_task import ServedTask
from app.telemetry import tracing

_RESTART_DELAY = 1.0  # seconds; a thread that dies at once may not spin

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Work:
    batch: Batch[ServedTask]
    collated: Any
    collated_ns: int = 0  # Unix time at which the collation began, if batches are traced


class Runner:
    """The threads of a device, and one that restarts them.

    batcher: the queue, if it is shared with other devices; unset: one of its own for `max_queued_inputs`.
    forwards: how many batches run at once, and on how many threads each.
    ahead: batches that are ready before one can start; unset: one on a GPU.
    `wait(seconds)` delays a restart and returns True if the runner is stopping; tests replace it.
    """

    def __init__(
        self,
        device: torch.device,
        forwards: Forwards,
        *,
        name: str | None = None,
        batcher: Batcher[ServedTask] | None = None,
        max_batch_tokens: int = 16384,
        max_queued_inputs: int = 8192,
        ahead: int | None = None,
        observer: EngineObserver | None = None,
        wait: Callable[[float], bool] | None = None,
    ) -> None:
        self.device = device
        self.name = name or str(device)
        self.forwards = forwards
        self.batcher = batcher or Batcher(max_batch_tokens, max_queued_inputs, shares=forwards.at_once)
        self._budget = BatchBudget(max_batch_tokens)
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
        self._running = 0  # inference threads that have a batch, of a runner that takes batches ahead
        self._guard = threading.Lock()

    @property
    def alive(self) -> bool:
        return len(self._living) == len(self._loops)

    @property
    def budget(self) -> int:
        """Tokens of the next batch at most."""
        return self._budget.tokens

    @property
    def busy(self) -> bool:
        """Whether a batch that is taken now has to wait for one that runs."""
        return self._running >= self.forwards.at_once

    def shares(self, served: ServedTask) -> int:
        """The number of the model's batches that may run at once; 0 if the model is not on this device."""
        return served.forwards if self in served.handlers else 0

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
                fail(work.batch.entries, NotReady("the server is shutting down"))
                work.batch.key.usage.end()

    # Life and death of the threads

    def _launch(self, name: str) -> None:
        self._living.add(name)
        thread = threading.Thread(target=self._live, args=(name,), name=f"{self.name}-{name}", daemon=True)
        self._threads[name] = thread
        thread.start()

    def _live(self, name: str) -> None:
        try:
            self._loops[name]()
        except BaseException:
            _log.exception("the %s thread of %s died", name, self.name)
            self._living.discard(name)
            self._dead.put(name)
        else:
            self._living.discard(name)

    def _supervise(self) -> None:
        while (name := self._dead.get()) is not None:
            if self._wait(_RESTART_DELAY):
                return
            self.restarts += 1
            _log.warning("restarting the %s thread of %s", name, self.name)
            self._launch(name)

    # Each round of a thread is a call, so that an idle one keeps no batch, and no model, alive. Once the call has
    # ended, the thread no longer counts as a user of the model. A batch that goes from the feeding thread to an
    # inference thread counts for each of them.

    def _taken(self) -> _Work | None:
        """The next batch; None once there are no more."""
        while (batch := self.batcher.next_batch(self)) is not None:
            usage, work = batch.key.usage, None
            usage.begin()
            try:
                work = self._collated(batch)
            finally:
                del batch
                if work is None:
                    usage.end()
            if work is not None:
                return work
        return None

    # The feeding thread

    def _feed(self) -> None:
        while (usage := self._feed_one()) is not None:
            usage.end()

    def _feed_one(self) -> ModelUsage | None:
        self._room.acquire()
        work = None
        try:
            work = self._taken()
        finally:
            if work is None:
                self._room.release()
        if work is None:
            return None
        usage = work.batch.key.usage
        usage.begin()
        self._slot.put(work)
        return usage

    # The inference threads

    def _infer(self, number: int) -> None:
        if self.device.type == "cuda":
            torch.cuda.set_device(self.device)
        while (usage := self._infer_one(number)) is not None:
            usage.end()

    def _infer_one(self, number: int) -> ModelUsage | None:
        work = self._slot.get() if self._ahead else self._taken()
        if work is None:
            return None
        usage = work.batch.key.usage
        if self._ahead:
            self._count(1)  # before there is room for the next
            self._room.release()
        try:
            if self._answered(work, number):
                self._budget.recover()
            else:
                self._halve(work.batch, number)
        except BaseException as error:
            if not isinstance(error, Exception):
                usage.end()
            fail_or_die(work.batch.entries, error)
        finally:
            if self._ahead:
                self._count(-1)
        return usage

    def _count(self, change: int) -> None:
        with self._guard:
            self._running += change

    def _answered(self, work: _Work, number: int) -> bool:
        """Runs a batch on that replica and hands out its results; False if it does not fit in memory."""
        batch, served = work.batch, work.batch.key
        started = time.perf_counter()
        try:
            others_wait = self.batcher.waiting > 0
            with self._intra_op_threads.of(batch.tokens, others_wait=others_wait) as threads, torch.inference_mode():
                torch.set_num_threads(threads)  # OpenMP keeps the number per thread
                raws = served.handlers[self][number].run(work.collated)
            torch.set_num_threads(self.forwards.threads)  # and threads that begin later take the last one
        except Exception as error:
            if is_out_of_memory(error):
                return False  # leaving the handler frees the tensors that the traceback holds
            raise
        if len(raws) != len(batch.entries):
            raise RuntimeError(f"{served.model} gave {len(raws)} results for {len(batch.entries)} inputs")
        seconds = time.perf_counter() - started
        if self._observer is not None:
            self._observer.on_batch(
                served.model, served.task, self.name, size=len(batch.entries), tokens=batch.tokens, seconds=seconds
            )
        if tracing.ACTIVE is not None:
            self._trace(work, seconds)
        for entry, raw in zip(batch.entries, raws, strict=True):
            entry.future.set_result(raw)
        return True

    def _trace(self, work: _Work, seconds: float) -> None:
        if tracing.ACTIVE is not None:
            served, entries = work.batch.key, work.batch.entries
            named = {"model": served.model, "task": served.task, "device": self.name, "tokens": work.batch.tokens}
            spans = [entry.span for entry in entries]
            tracing.ACTIVE.on_batch(
                named | {"inputs": len(entries)}, spans, collated_ns=work.collated_ns, forward_seconds=seconds
            )

    def _halve(self, batch: Batch[ServedTask], number: int) -> None:
        """A batch that did not fit: its halves, each with an outcome of its own."""
        free_memory(self.device)
        count = len(batch.entries)
        if count == 1:
            cost = batch.entries[0].cost
            fail(batch.entries, TooLarge(f"an input of {cost} tokens does not fit in the memory of {self.name}"))
            return
        self._budget.shrink(batch.padded)
        _log.warning("%d inputs do not fit in the memory of %s: splitting", count, self.name)
        for entries in (batch.entries[: count // 2], batch.entries[count // 2 :]):
            half = Batch(batch.key, entries)
            try:
                if (work := self._collated(half)) is not None and not self._answered(work, number):
                    self._halve(half, number)
            except Exception as error:
                fail_or_die(entries, error)

    def _collated(self, batch: Batch[ServedTask]) -> _Work | None:
        """Returns None if that failed; the waiters then have the error."""
        try:
            began = 0 if tracing.ACTIVE is None else time.time_ns()
            collate = batch.key.handlers[self][0].collate
            return _Work(batch, collate([entry.inputs for entry in batch.entries]), began)
        except BaseException as error:
            fail_or_die(batch.entries, error)
            return None
