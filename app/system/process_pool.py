"""A pool of child processes for calls that may crash, hang or use too much memory, such as reading users' files."""

import asyncio
import signal
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Self, TypeVar, cast

from app.errors import InvalidData, NotReady, TooLarge
from app.system.pool_process import CallResult, ProcessLimits
from app.system.process_handle import ProcessDied, ProcessHandle

_JOIN_SECONDS = 10.0  # to wait for each thread when the pool closes

T = TypeVar("T")


class ProcessPool:
    """Runs calls in at most `size` child processes, which are started on demand and reused.

    A call is a picklable function without arguments, such as a `functools.partial`. An AppError that it raises in the
    child is raised in the caller. If the child crashes or raises another exception, the caller gets InvalidData;
    beyond the limits TooLarge; after `close` NotReady. All methods may be called from any thread.

    Each process has its own thread in the parent, because the kernel ends a child with the thread that started it.
    """

    def __init__(self, size: int, limits: ProcessLimits | None = None) -> None:
        self.size = size
        self._limits = limits or ProcessLimits()
        self._guard = threading.Lock()
        self._waiting: deque[_Call] = deque()
        self._running: set[_Call] = set()
        self._threads: list[threading.Thread] = []
        self._idle: list[threading.Condition] = []  # one per thread that waits for a call
        self._closed = False

    def submit(self, function: Callable[[], T]) -> "Future[T]":
        """Queues a call. Cancelling the future drops the call, or kills the process that runs it."""
        call = _Call(function)
        with self._guard:
            if self._closed:
                raise _closing()
            self._waiting.append(call)
            if self._idle:
                self._idle.pop().notify()  # the last one: its process is warm, and fewer processes stay in use
            elif len(self._threads) < min(self.size, len(self._waiting) + len(self._running)):
                thread = threading.Thread(target=self._work, name=f"process-{len(self._threads)}", daemon=True)
                self._threads.append(thread)
                thread.start()
        return cast("Future[T]", call)

    async def call(self, function: Callable[[], T]) -> T:
        """Runs a call and returns its result. Cancelling the caller cancels the call."""
        return await asyncio.wrap_future(self.submit(function))

    def close(self) -> None:
        """Kills all processes. Queued and running calls raise NotReady."""
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
            thread.join(_JOIN_SECONDS)

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
        """Waits for the oldest queued call. Returns None once the pool is closed."""
        woken = threading.Condition(self._guard)
        with self._guard:
            while not (self._waiting or self._closed):
                self._idle.append(woken)
                woken.wait()  # the notifying thread has removed it from the list
            if self._closed:
                return None
            call = self._waiting.popleft()
            self._running.add(call)
            return call

    def _answer(self, call: "_Call", process: ProcessHandle | None) -> ProcessHandle | None:
        """Runs a call and sets its outcome. Returns the process if it can be reused."""
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
                process = ProcessHandle(self._limits)  # an earlier call may have damaged the old process
                answer = call.run_in(process)
        except BaseException as error:
            if process is not None:
                process.close()
            self._end(call)
            call.set_exception(_closing() if call.stopped else _explain(error, self._limits))
            return None
        if answer.last:
            process.close()
        self._end(call)
        call.settle(answer)
        return None if answer.last else process

    def _end(self, call: "_Call") -> None:
        """Marks a call as ended. Done before its outcome is set, so that the caller's next call reuses this thread."""
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
        """Cancels a queued call, or kills the process of a running one. Returns False if it was running."""
        if super().cancel():
            return True
        self.stop()
        return False

    def stop(self) -> None:
        """Kills the process that runs the call, and keeps the call from starting."""
        with self._guard:
            self.stopped = True
            if self._process is not None:
                self._process.kill()

    def run_in(self, process: ProcessHandle) -> CallResult:
        """Runs the call in a process. Raises NotReady and the exceptions of `ProcessHandle.call`."""
        with self._guard:
            if self.stopped:
                raise _closing()
            self._process = process
        try:
            return process.call(self._function)
        finally:
            with self._guard:
                self._process = None

    def settle(self, answer: CallResult) -> None:
        if answer.failed:
            self.set_exception(answer.value)
        else:
            self.set_result(answer.value)


def _closing() -> NotReady:
    return NotReady("the server is shutting down")


def _explain(error: BaseException, limits: ProcessLimits) -> BaseException:
    """Converts the failure of a process into an error for the caller."""
    if isinstance(error, TimeoutError):
        return TooLarge(f"reading the file takes longer than the allowed {limits.seconds:g} seconds")
    if not isinstance(error, ProcessDied):
        return error
    if error.code == -signal.SIGXCPU:
        return TooLarge(f"reading the file takes more than the allowed {limits.seconds:g} seconds of processor time")
    if error.code == -signal.SIGKILL:
        return TooLarge("the process that read the file was killed (SIGKILL), probably because memory ran out")
    how = signal.Signals(-error.code).name if error.code < 0 else f"exit status {error.code}"
    return InvalidData(f"the decoder crashed on the file ({how})")
