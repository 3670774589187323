"""The work of further processes of a training group. Such a process imports this module, so it imports little."""

import os
import signal
import sys
from pathlib import Path

from app.system.child import die_with_parent
from app.training.loop.distributed import ProcessGroup, launch_group


def fail(group: ProcessGroup) -> None:
    sys.exit(7)


def be_killed(group: ProcessGroup) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def wait(group: ProcessGroup) -> None:
    group.broadcast(None)  # until rank 0 speaks, which it never does
    group.broadcast(None)


def add(group: ProcessGroup) -> None:
    group.sum(2)


def refuse(parent: int) -> None:
    sys.exit(3)


def accept(parent: int) -> None:
    """Ties the process to nothing: the parent of a fork is the server that forked it."""


def hold(folder: str) -> None:
    """Starts a group that ends with this process alone."""
    with launch_group(2, Path(folder), wait, die_with_parent) as group:
        group.broadcast(None)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        signal.pause()
