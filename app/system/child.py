"""Child processes that cannot outlive their parent.

As a script, `child.py PARENT_PID SIGNAL COMMAND…` replaces itself with COMMAND, which receives SIGNAL when the process
PARENT_PID ends. Unlike a `preexec_fn`, this is safe in a parent that has threads.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def die_with_parent(parent_pid: int, signum: int = signal.SIGKILL) -> None:
    """Asks the kernel to send `signum` when the parent ends. Exits at once if the parent has already ended.

    The kernel watches the parent *thread* that started this process. Start such children from a thread that lives as
    long as its process, such as the main thread.
    """
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_PDEATHSIG, signum, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent_pid:
        raise SystemExit(f"parent process {parent_pid} has ended")


def bound_command(command: list[str], signum: int = signal.SIGKILL) -> list[str]:
    """Wraps a command so that a child started with it ends when this process ends."""
    # -I and -S make it start in milliseconds and keep this folder from shadowing modules.
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), str(int(signum)), *command]


if __name__ == "__main__":
    die_with_parent(int(sys.argv[1]), int(sys.argv[2]))
    os.execvp(sys.argv[3], sys.argv[3:])  # noqa: S606 - becoming the command is the point
