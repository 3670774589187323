"""Folders that were dear to make and can be made again, shared by all jobs and bounded in size.

An entry is a folder `<cache>/<kind>/<key>`. The modification time of its file `lock` says when the
entry was last used. Whoever uses an entry holds that file's lock together with others, and whoever
makes or removes one must hold it alone. What is being made lies beside it, in `.tmp-<key>`; if its
maker is stopped or killed it stays there for a day, for the next one to go on with. Data
loaders that were forked keep a lock too, and the kernel releases it with the last of them, however they end.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO, NamedTuple

from app.errors import InsufficientStorage
from app.system.durable import sync_tree
from app.system.locks import acquire_lock, release_lock
from app.training.hooks import Killed, Stopped

LOCK = "lock"
ASIDE = ".tmp-"  # begins the name of a folder that is being made
REMOVED = ".old-"  # and of one that is being removed
_GRACE = 3600.0  # seconds in which a folder may still be without its lock
_ABANDONED = 86_400.0  # seconds after which nobody is expected to go on with what was begun
_POLL = 0.2  # seconds


def open_entry(folder: Path, make: Callable[[Path], None], wait: Callable[[], None] = lambda: None) -> IO[bytes]:
    """Marks an entry as used now, and as in use for as long as the file that is returned stays open.

    If the entry is not there, `make` fills a folder aside, which is then renamed into place. The folder may
    hold what a maker that was stopped or killed has left. While another process makes the entry, `wait` is
    called again and again; like `make`, it may raise.
    """
    while (lock := _lock(folder)) is None:
        _make(folder, make, wait)
    return lock


def count_begun_bytes(folder: Path) -> int | None:
    """None if the entry is there, else the bytes made of it so far; either is now the last to be collected."""
    for place in (folder, _aside(folder)):
        with suppress(FileNotFoundError):
            os.utime(place / LOCK)
            return None if place == folder else _size(place)
    return 0


def evict(cache: Path, budget: int, needed: int = 0) -> int:
    """Removes entries until the rest and `needed` bytes fit into `budget` bytes; returns the bytes freed.

    Those that were used longest ago go first; one that is in use stays. What a killed process had
    half removed goes in any case, and so does what was begun long ago.
    """
    entries = sorted(filter(None, map(_entry, cache.glob("*/*"))), key=lambda e: e.last_used)
    excess = sum(e.bytes for e in entries) + needed - budget
    freed = 0
    for entry in entries:
        if (freed < excess or _is_left(entry)) and _remove(entry):
            freed += entry.bytes
    return freed


def make_room(cache: Path, budget: int, needed: int, beside: int, *, reserve: int = 0) -> None:
    """Sees to it that `needed` more bytes fit into the cache, and they and `beside` bytes onto the disk.

    reserve: bytes of the disk that are to stay free; the cache gives way for them.
    A job's own data may pass the budget, but not the disk: then InsufficientStorage is raised.
    """
    cache.mkdir(parents=True, exist_ok=True)
    evict(cache, budget, needed)
    if (missing := needed + beside + reserve - _free(cache)) > 0:
        held = sum(e.bytes for e in filter(None, map(_entry, cache.glob("*/*"))))
        evict(cache, max(0, held - missing))
    if (free := _free(cache)) < needed + beside + reserve:
        raise InsufficientStorage(
            f"the job needs about {(needed + beside) / 1e9:.1f} GB of disk for its data and checkpoints,"
            f" and the worker's machine has {free / 1e9:.1f} GB left, of which {reserve / 1e9:.1f} GB stay in reserve"
        )


def _free(folder: Path) -> int:
    return shutil.disk_usage(folder).free


class _CacheEntry(NamedTuple):
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
    acquire_lock(lock, shared=True)
    try:
        removed = not os.path.samestat(os.fstat(lock.fileno()), path.stat())
    except FileNotFoundError:
        removed = True
    if removed:  # while we waited for its lock
        lock.close()
        return None
    os.utime(lock.fileno())
    return lock


def _aside(folder: Path) -> Path:
    return folder.with_name(ASIDE + folder.name)


def _make(folder: Path, make: Callable[[Path], None], wait: Callable[[], None]) -> None:
    aside = _aside(folder)
    lock = _claim(aside)
    if lock is None:
        wait()
        time.sleep(_POLL)
        return
    with lock:
        if (folder / LOCK).exists():  # made since we looked
            shutil.rmtree(aside, ignore_errors=True)
            return
        try:
            make(aside)
            sync_tree(aside)
            os.rename(aside, folder)
        except (Stopped, Killed):
            raise  # another attempt goes on with it
        except Exception as e:
            e.add_note(f"the prepared data ({folder.parent.name})")
            shutil.rmtree(aside, ignore_errors=True)
            raise
        finally:
            release_lock(lock)  # a process that was forked meanwhile does not keep it


def _claim(aside: Path) -> IO[bytes] | None:
    """The lock of a folder that may be filled, held alone; None if another process holds it, or has just had it."""
    aside.mkdir(parents=True, exist_ok=True)
    path = aside / LOCK
    with suppress(FileNotFoundError), ExitStack() as stack:
        lock = stack.enter_context(path.open("ab"))
        try:
            acquire_lock(lock, wait=False)
        except BlockingIOError:
            return None
        if os.path.samestat(os.fstat(lock.fileno()), path.stat()):
            stack.pop_all()
            return lock
    return None


def _entry(folder: Path) -> _CacheEntry | None:
    """None if it is gone, or may just have been begun."""
    try:
        lock = folder / LOCK
        last_used = (lock if lock.exists() else folder).stat().st_mtime
        if not lock.exists() and time.time() - last_used < _GRACE:
            return None
        if folder.name.startswith(ASIDE):
            last_used = max([last_used, *(f.stat().st_mtime for f in folder.iterdir())])
        return _CacheEntry(folder, last_used, _size(folder))
    except FileNotFoundError:
        return None


def _size(folder: Path) -> int:
    return sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())


def _is_left(entry: _CacheEntry) -> bool:
    """Whether nobody will want what a killed process has left there."""
    name = entry.folder.name
    return name.startswith(REMOVED) or (name.startswith(ASIDE) and time.time() - entry.last_used > _ABANDONED)


def _remove(entry: _CacheEntry) -> bool:
    """Whether it was in nobody's use, and is removed."""
    try:
        with (entry.folder / LOCK).open("ab") as lock:
            acquire_lock(lock, wait=False)
            aside = Path(tempfile.mkdtemp(prefix=REMOVED, dir=entry.folder.parent))
            os.rename(entry.folder, aside)
            shutil.rmtree(aside, ignore_errors=True)
    except (BlockingIOError, FileNotFoundError):
        return False
    return True
