"""The parent's side of one child process that answers calls."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from app.errors import AppError
from app.system import messages
from app.system.pool_process import MIB, Answer, ProcessLimits

_WALL = 10  # times the processor time of a call: for a process that sleeps, on a machine that may be loaded
_START = 60.0  # seconds in which a process starts
_END = 10.0  # seconds in which it ends once it has closed its connection
_ENVIRONMENT = {
    # Threads of a child's own would take the processors of the other children.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    # By default glibc takes large blocks from the kernel and gives them back at once: a third of the time of a long
    # GIF went into page faults. Blocks of up to 32 MiB, the most that glibc allows here, come out of memory that it
    # keeps until the call has ended.
    "MALLOC_MMAP_THRESHOLD_": str(32 * MIB),
    "MALLOC_TRIM_THRESHOLD_": str(512 * MIB),
    "MALLOC_TOP_PAD_": str(32 * MIB),
}
_MAIN = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from app.system.pool_process import ProcessLimits, serve
serve(int(sys.argv[2]), int(sys.argv[3]), ProcessLimits(**json.loads(sys.argv[4])))
"""


class ProcessDied(Exception):
    """code: the process's exit status, -N where signal N ended it."""

    def __init__(self, code: int) -> None:
        super().__init__(f"the process ended with status {code}")
        self.code = code


class ProcessHandle:
    """Starts a process, which answers calls one after another. The kernel ends it with the thread that starts it.

    `kill` may be called from any thread, the rest from one at a time.
    """

    def __init__(self, limits: ProcessLimits) -> None:
        self.answered = 0  # calls
        self._ready = False
        self._seconds = limits.seconds
        self._connection, theirs = socket.socketpair()
        with theirs:
            arguments = (json.dumps(sys.path), str(theirs.fileno()), str(os.getpid()), json.dumps(asdict(limits)))
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", _MAIN, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env={**os.environ, **_ENVIRONMENT},
                process_group=0,  # a Ctrl-C reaches the parent alone
            )

    def call(self, function: Callable[[], Any]) -> Answer:
        """Raises ProcessDied, TimeoutError, AppError where the process does not start, and what pickle raises."""
        self._wait_until_ready()
        self._connection.settimeout(_WALL * self._seconds)
        try:
            messages.send(self._connection, function)
            answer: Answer = messages.receive(self._connection)
        except TimeoutError:
            raise
        except (EOFError, OSError) as error:
            raise ProcessDied(self._wait()) from error
        self.answered += 1
        return answer

    def kill(self) -> None:
        self._process.kill()

    def close(self) -> None:
        """Kills the process and waits for its end."""
        self._process.kill()
        self._process.wait()
        self._connection.close()

    def _wait_until_ready(self) -> None:
        if self._ready:
            return
        self._connection.settimeout(_START)
        try:
            messages.receive(self._connection)
        except (EOFError, OSError) as error:
            self._process.kill()
            raise AppError("a process that reads files did not start; the log says why") from error
        self._ready = True

    def _wait(self) -> int:
        """The exit status of a process that has closed its connection."""
        try:
            return self._process.wait(_END)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()
