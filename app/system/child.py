"""Child processes that cannot outlive their parent.

As a script, `child.py PARENT_PID SIGNAL COMMAND…` becomes COMMAND, which gets SIGNAL when the
process PARENT_PID ends. Doing this after the exec, instead of in a `preexec_fn`, is safe in a
parent that has threads.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def die_with_parent(parent_pid: int, signum: int = signal.SIGKILL) -> None:
    """Asks the kernel for `signum` when the parent ends; exits at once if it has ended already.

    The kernel watches the parent *thread* that started this process, so start such children
    from a thread that lives as long as its process: the main one.
    """
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_PDEATHSIG, signum, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent_pid:
        raise SystemExit(f"parent process {parent_pid} has ended")


def bound_command(command: list[str], signum: int = signal.SIGKILL) -> list[str]:
    """`command`, to be started by this process and to end with it."""
    # Isolated and without site: it starts in milliseconds, and this folder shadows no module.
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), str(int(signum)), *command]


if __name__ == "__main__":
    die_with_parent(int(sys.argv[1]), int(sys.argv[2]))
    os.execvp(sys.argv[3], sys.argv[3:])  # noqa: S606 - becoming the command is the point
