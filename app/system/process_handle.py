"""The parent's side of one child process that runs calls."""

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
from app.system.pool_process import MIB, CallResult, ProcessLimits

_WALL_FACTOR = 10  # the wall-clock limit of a call in multiples of its processor time; the machine may be loaded
_START_SECONDS = 60.0  # in which a process has to start
_END_SECONDS = 10.0  # in which a process has to end after it has closed its connection
_ENVIRONMENT = {
    # Further threads in a child would compete with the other children.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    # By default glibc maps large blocks and unmaps them at once: a long GIF spent a third of its time in page faults.
    # With these values, blocks of up to 32 MiB (glibc's maximum for the threshold) come from memory that is kept until
    # the call has ended.
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
    """The child process ended during a call. `code` is its exit status, or -N if signal N ended it."""

    def __init__(self, code: int) -> None:
        super().__init__(f"the process ended with status {code}")
        self.code = code


class ProcessHandle:
    """A child process that runs calls one after another. The kernel ends it with the thread that started it.

    `kill` may be called from any thread, the other methods from one thread at a time.
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

    def call(self, function: Callable[[], Any]) -> CallResult:
        """Runs a call in the process and waits for its answer.

        Raises ProcessDied, TimeoutError, AppError if the process does not start, and the exceptions of pickle.
        """
        self._wait_until_ready()
        self._connection.settimeout(_WALL_FACTOR * self._seconds)
        try:
            messages.send(self._connection, function)
            answer: CallResult = messages.receive(self._connection)
        except TimeoutError:
            raise
        except (EOFError, OSError) as error:
            raise ProcessDied(self._wait_for_exit()) from error
        self.answered += 1
        return answer

    def kill(self) -> None:
        self._process.kill()

    def close(self) -> None:
        """Kills the process and waits until it has ended."""
        self._process.kill()
        self._process.wait()
        self._connection.close()

    def _wait_until_ready(self) -> None:
        if self._ready:
            return
        self._connection.settimeout(_START_SECONDS)
        try:
            messages.receive(self._connection)
        except (EOFError, OSError) as error:
            self._process.kill()
            raise AppError("a process that reads files did not start; see the server's log") from error
        self._ready = True

    def _wait_for_exit(self) -> int:
        """Waits for a process that has closed its connection. Returns its exit status."""
        try:
            return self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()
