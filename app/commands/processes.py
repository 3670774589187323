"""The worker processes that run with the embedded Redis: start, restart after a crash, and stop."""

import logging
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from app.system.supervision import RestartPause, start_child

_log = logging.getLogger(__name__)


@dataclass
class _Slot:
    process: "subprocess.Popen[bytes]"
    started: float
    pause: RestartPause = field(default_factory=RestartPause)
    restart_at: float | None = None


class WorkerProcesses:
    """The worker processes. Use it on the main thread: the kernel ends a worker with the thread that started it."""

    def __init__(
        self,
        count: int,
        command: Sequence[str],
        environment: Mapping[str, str],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._command = list(command)
        self._environment = dict(environment)
        self._clock = clock
        self._slots = [_Slot(self._start(), clock()) for _ in range(count)]

    @property
    def processes(self) -> "list[subprocess.Popen[bytes]]":
        return [slot.process for slot in self._slots]

    def check(self) -> None:
        """Restarts workers that have ended. Call it about every second."""
        now = self._clock()
        for slot in self._slots:
            if slot.process.poll() is None:
                continue
            if slot.restart_at is None:
                slot.restart_at = now + slot.pause.next(now - slot.started)
                _log.error("a worker ended with status %d; restarting it", slot.process.returncode)
            elif now >= slot.restart_at:
                slot.process, slot.started, slot.restart_at = self._start(), now, None

    def terminate(self) -> None:
        """Asks the workers to return their jobs to the queue and end."""
        for slot in self._slots:
            if slot.process.poll() is None:
                slot.process.terminate()

    def stop(self, grace: float = 40.0) -> None:
        """Stops the workers and waits. Kills those that take longer than `grace` seconds."""
        self.terminate()
        deadline = self._clock() + grace
        for slot in self._slots:
            try:
                slot.process.wait(max(0.0, deadline - self._clock()))
            except subprocess.TimeoutExpired:
                _log.error("worker %d does not stop; killing it", slot.process.pid)
                os.killpg(slot.process.pid, signal.SIGKILL)
                slot.process.wait()

    def _start(self) -> "subprocess.Popen[bytes]":
        return start_child(self._command, environment=self._environment)
