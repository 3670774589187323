"""Folders that were dear to make and can be made again, shared by all jobs and bounded in size.

An entry is a folder `<cache>/<kind>/<key>`. The modification time of its file `lock` says when the
entry was last used. Whoever uses an entry holds that file's lock together with others, and whoever
removes one must hold it alone. `flock` and not `lockf`: data loaders that were forked keep it too,
and the kernel releases it with the last of them, however they end.
"""

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, NamedTuple

from app.errors import InsufficientStorage

LOCK = "lock"
ASIDE = ".tmp-"  # begins the name of a folder that is being made or removed
_GRACE = 3600.0  # seconds in which a folder that is being made may still be without its lock


def hold(folder: Path, make: Callable[[Path], None]) -> IO[bytes]:
    """Marks an entry as used now, and as in use for as long as the file that is returned stays open.

    If the entry is not there, `make` fills a folder aside, which is then renamed into place.
    """
    while (lock := _lock(folder)) is None:
        _make(folder, make)
    return lock


def collect(cache: Path, budget: int, needed: int = 0) -> int:
    """Removes entries until the rest and `needed` bytes fit into `budget` bytes; returns the bytes freed.

    Those that were used longest ago go first; one that is in use stays. What a killed process had
    half made or half removed goes in any case.
    """
    entries = sorted(filter(None, map(_entry, cache.glob("*/*"))), key=lambda e: e.last_used)
    excess = sum(e.bytes for e in entries) + needed - budget
    freed = 0
    for entry in entries:
        if (freed < excess or entry.folder.name.startswith(ASIDE)) and _remove(entry):
            freed += entry.bytes
    return freed


def make_room(cache: Path, budget: int, needed: int, beside: int) -> None:
    """Sees to it that `needed` more bytes fit into the cache, and they and `beside` bytes onto the disk.

    A job's own data may pass the budget, but not the disk: then InsufficientStorage is raised.
    """
    cache.mkdir(parents=True, exist_ok=True)
    collect(cache, budget, needed)
    if (missing := needed + beside - _free(cache)) > 0:
        held = sum(e.bytes for e in filter(None, map(_entry, cache.glob("*/*"))))
        collect(cache, max(0, held - missing))
    if (free := _free(cache)) < needed + beside:
        raise InsufficientStorage(
            f"the job needs about {(needed + beside) / 1e9:.1f} GB of disk for its data and checkpoints,"
            f" and the worker's machine has {free / 1e9:.1f} GB left"
        )


def _free(folder: Path) -> int:
    return shutil.disk_usage(folder).free


class _Entry(NamedTuple):
    folder: Path
    last_used: float  # Unix seconds
    bytes: int


def _lock(folder: Path) -> IO[bytes] | None:
    """The entry's lock, held together with others; None if there is no such entry."""
    path = folder / LOCK
    try:
        lock = path.open("ab")
    except FileNotFoundError:
        return None
    fcntl.flock(lock, fcntl.LOCK_SH)
    try:
        removed = not os.path.samestat(os.fstat(lock.fileno()), path.stat())
    except FileNotFoundError:
        removed = True
    if removed:  # while we waited for its lock
        lock.close()
        return None
    os.utime(lock.fileno())
    return lock


def _make(folder: Path, make: Callable[[Path], None]) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=ASIDE, dir=folder.parent))
    try:
        with (aside / LOCK).open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH)
            make(aside)
            try:
                os.rename(aside, folder)
            except OSError:  # another job made the same entry meanwhile; theirs is as good
                if not (folder / LOCK).exists():
                    raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _entry(folder: Path) -> _Entry | None:
    """None if it is gone, or may just have been begun."""
    try:
        lock = folder / LOCK
        last_used = (lock if lock.exists() else folder).stat().st_mtime
        if not lock.exists() and time.time() - last_used < _GRACE:
            return None
        return _Entry(folder, last_used, sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()))
    except FileNotFoundError:
        return None


def _remove(entry: _Entry) -> bool:
    """Whether it was in nobody's use, and is removed."""
    try:
        with (entry.folder / LOCK).open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            aside = Path(tempfile.mkdtemp(prefix=ASIDE, dir=entry.folder.parent))
            os.rename(entry.folder, aside)
            shutil.rmtree(aside, ignore_errors=True)
    except (BlockingIOError, FileNotFoundError):
        return False
    return True
