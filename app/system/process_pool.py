"""Calls in child processes, for work that may crash, hang or take all memory: reading other people's files."""

import asyncio
import signal
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Self, TypeVar, cast

from app.errors import InvalidData, NotReady, TooLarge
from app.system.pool_process import Answer, ProcessLimits
from app.system.process_handle import ProcessDied, ProcessHandle

_PATIENCE = 10.0  # seconds for the threads to end

T = TypeVar("T")


class ProcessPool:
    """Runs calls in at most `size` child processes, which are started when they are needed and used again.

    A call is a picklable function without arguments, such as a `functools.partial`. The AppErrors that it raises
    in the child are raised in the caller. InvalidData is raised where the child crashes or raises something else,
    TooLarge beyond the limits, NotReady after `close`. All methods may be called from any thread.

    Each process has a thread of its own in the parent, because the kernel ends a child with the thread that
    started it.
    """

    def __init__(self, size: int, limits: ProcessLimits | None = None) -> None:
        self.size = size
        self._limits = limits or ProcessLimits()
        self._guard = threading.Lock()
        self._waiting: deque[_Call] = deque()
        self._running: set[_Call] = set()
        self._threads: list[threading.Thread] = []
        self._idle: list[threading.Condition] = []  # one for each thread that waits for a call
        self._closed = False

    def submit(self, function: Callable[[], T]) -> "Future[T]":
        """Queues a call. `cancel` of the future drops the call, and kills the process that works on it."""
        call = _Call(function)
        with self._guard:
            if self._closed:
                raise _closing()
            self._waiting.append(call)
            if self._idle:
                self._idle.pop().notify()  # the last one: its process is still warm, and the fewest are used
            elif len(self._threads) < min(self.size, len(self._waiting) + len(self._running)):
                thread = threading.Thread(target=self._work, name=f"process-{len(self._threads)}", daemon=True)
                self._threads.append(thread)
                thread.start()
        return cast("Future[T]", call)

    async def call(self, function: Callable[[], T]) -> T:
        """The result of a call. The cancellation of the caller cancels the call."""
        return await asyncio.wrap_future(self.submit(function))

    def close(self) -> None:
        """Kills the processes, whatever they do; calls that wait or run raise NotReady."""
        with self._guard:
            self._closed = True
            waiting = list(self._waiting)
            self._waiting.clear()
            for call in self._running:
                call.stop()
            for each in self._idle:
                each.notify()
            self._idle.clear()
        for call in waiting:
            if call.set_running_or_notify_cancel():
                call.set_exception(_closing())
        for thread in self._threads:
            thread.join(_PATIENCE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # The threads

    def _work(self) -> None:
        process: ProcessHandle | None = None
        while (call := self._next()) is not None:
            process = self._answer(call, process)
            del call  # its result may be large
        if process is not None:
            process.close()

    def _next(self) -> "_Call | None":
        """The call that has waited longest; None once the pool is closed."""
        woken = threading.Condition(self._guard)
        with self._guard:
            while not (self._waiting or self._closed):
                self._idle.append(woken)
                woken.wait()  # whoever notifies it takes it off the list
            if self._closed:
                return None
            call = self._waiting.popleft()
            self._running.add(call)
            return call

    def _answer(self, call: "_Call", process: ProcessHandle | None) -> ProcessHandle | None:
        """Sets the outcome of the call; returns the process if it can be used again."""
        if not call.set_running_or_notify_cancel():
            self._end(call)
            return process
        try:
            process = process or ProcessHandle(self._limits)
            try:
                answer = call.run_in(process)
            except ProcessDied:
                if call.stopped or not process.answered:
                    raise
                process.close()
                process = ProcessHandle(self._limits)  # the call before this one may have damaged the last
                answer = call.run_in(process)
        except BaseException as error:
            if process is not None:
                process.close()
            self._end(call)
            call.set_exception(_closing() if call.stopped else _explained(error, self._limits))
            return None
        if answer.last:
            process.close()
        self._end(call)
        call.settle(answer)
        return None if answer.last else process

    def _end(self, call: "_Call") -> None:
        """Before the caller learns the outcome: this thread, not a new one, takes the call that it then submits."""
        with self._guard:
            self._running.discard(call)


class _Call(Future[Any]):
    def __init__(self, function: Callable[[], Any]) -> None:
        super().__init__()
        self.stopped = False
        self._function = function
        self._process: ProcessHandle | None = None
        self._guard = threading.Lock()

    def cancel(self) -> bool:
        """Also while it runs, of which `Future.cancel` tells nothing: False then."""
        if super().cancel():
            return True
        self.stop()
        return False

    def stop(self) -> None:
        """Kills the process that works on the call; none begins to."""
        with self._guard:
            self.stopped = True
            if self._process is not None:
                self._process.kill()

    def run_in(self, process: ProcessHandle) -> Answer:
        """Raises what `ProcessHandle.call` raises."""
        with self._guard:
            if self.stopped:
                raise _closing()
            self._process = process
        try:
            return process.call(self._function)
        finally:
            with self._guard:
                self._process = None

    def settle(self, answer: Answer) -> None:
        if answer.failed:
            self.set_exception(answer.value)
        else:
            self.set_result(answer.value)


def _closing() -> NotReady:
    return NotReady("the server is shutting down")


def _explained(error: BaseException, limits: ProcessLimits) -> BaseException:
    """Returns the error for a call that has no answer."""
    if isinstance(error, TimeoutError):
        return TooLarge(f"reading the file takes longer than the {limits.seconds:g} seconds that are allowed")
    if not isinstance(error, ProcessDied):
        return error
    if error.code == -signal.SIGXCPU:
        return TooLarge(
            f"reading the file takes more than the {limits.seconds:g} seconds of processor time that are allowed"
        )
    if error.code == -signal.SIGKILL:
        return TooLarge("the process that read the file was killed (SIGKILL), most likely because memory ran out")
    how = signal.Signals(-error.code).name if error.code < 0 else f"exit status {error.code}"
    return InvalidData(f"the file made its decoder crash ({how})")
