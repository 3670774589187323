"""Locks between processes: advisory locks of files and folders.

A lock belongs to an open file. The kernel releases it when the last copy of that open file is closed, also when its
process is killed.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any


def acquire_lock(file: IO[Any] | int, *, shared: bool = False, wait: bool = True, survives_fork: bool = True) -> None:
    """Locks an open file until it is closed.

    shared: together with other shared holders. survives_fork: forked processes hold the lock too, until the last of
    them ends (`flock`); otherwise this process alone holds it (`lockf`). The two kinds do not exclude each other.

    Raises:
        BlockingIOError: Another process holds the lock, and `wait` is False.
    """
    how = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    lock = fcntl.flock if survives_fork else fcntl.lockf
    lock(file, how if wait else how | fcntl.LOCK_NB)


def release_lock(file: IO[Any] | int) -> None:
    """Unlocks an open file, also for the processes that inherited it."""
    fcntl.flock(file, fcntl.LOCK_UN)


@contextmanager
def hold_lock(path: Path, *, shared: bool = False, wait: bool = True, create: bool = False) -> Iterator[None]:
    """Holds the lock of a file or folder.

    create: makes a missing file.

    Raises:
        BlockingIOError: Another process holds the lock, and `wait` is False.
        FileNotFoundError: The path is missing, and `create` is False.
    """
    flags = os.O_RDWR | os.O_CREAT if create else os.O_RDONLY
    fd = os.open(path, flags | os.O_CLOEXEC, 0o644)
    try:
        acquire_lock(fd, shared=shared, wait=wait)
        yield
    finally:
        os.close(fd)
