"""A cache of prepared data on the disk: expensive to make, shared by all jobs, bounded in size.

An entry is a folder `<cache>/<kind>/<key>` with a file `lock`. The modification time of that file is the
time of the entry's last use. A user of an entry holds a shared lock on the file; a process that makes or
removes an entry holds an exclusive one.

An entry is made in the folder `.tmp-<key>` and renamed when it is complete. If its maker is stopped or
killed, the folder stays for a day, so that the next maker can continue it.

The lock is `flock`, not `lockf`: forked data loaders inherit it, and the kernel releases it when the last
of them ends, however it ends.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO, NamedTuple

from app.errors import InsufficientStorage, NotReady
from app.system.durable import sync_tree
from app.system.locks import acquire_lock, release_lock
from app.training.hooks import Killed, Stopped

LOCK = "lock"
ASIDE = ".tmp-"  # prefix of a folder that is being made
REMOVED = ".old-"  # prefix of a folder that is being removed
_GRACE = 3600.0  # seconds for which a new folder may have no lock yet
_ABANDONED = 86_400.0  # seconds after which nobody continues an unfinished folder
_POLL = 0.2  # seconds


def open_entry(folder: Path, make: Callable[[Path], None], wait: Callable[[], None] = lambda: None) -> IO[bytes]:
    """Opens an entry, which is made first if it does not exist.

    Args:
        folder: The entry's folder.
        make: Fills the folder that it is given. The folder may contain the files of an earlier, interrupted maker.
        wait: Called repeatedly while another process makes the entry. May raise to stop waiting.

    Returns:
        The entry's lock file. The entry is in use, and is not evicted, until the file is closed.
    """
    while (lock := _lock(folder)) is None:
        _make(folder, make, wait)
    return lock


def count_begun_bytes(folder: Path) -> int | None:
    """Returns the bytes of the entry that an interrupted maker has left, or None if the entry is complete.

    Counts as a use of the entry, so it is evicted last.
    """
    for place in (folder, _aside(folder)):
        with suppress(FileNotFoundError):
            os.utime(place / LOCK)
            return None if place == folder else _size(place)
    return 0


def evict(cache: Path, budget: int, needed: int = 0) -> int:
    """Removes entries until the rest and `needed` bytes fit into `budget` bytes. Returns the bytes freed.

    The least recently used entries go first. Entries in use stay. Remains of interrupted removals and folders that
    were begun long ago are removed in any case.
    """
    entries = sorted(_list_entries(cache), key=lambda entry: entry.last_used)
    excess = sum(entry.bytes for entry in entries) + needed - budget
    freed = 0
    for entry in entries:
        if (freed < excess or _is_abandoned(entry)) and _remove(entry):
            freed += entry.bytes
    return freed


def free_bytes(folder: Path) -> int:
    """Returns the free bytes of the folder's disk."""
    return shutil.disk_usage(folder).free


def make_room(
    cache: Path,
    budget: int,
    needed: int,
    beside: int,
    *,
    reserve: int = 0,
    free: Callable[[Path], int] = free_bytes,
) -> None:
    """Evicts entries so that a job's data fit into the cache, and the data and its checkpoints onto the disk.

    Args:
        budget: Maximum bytes of the cache. A single job's data may exceed it.
        needed: Bytes that the job will add to the cache.
        beside: Bytes that the job will write elsewhere on the same disk.
        reserve: Bytes of the disk that must stay free.
        free: Measures the free bytes of the disk.

    Raises:
        InsufficientStorage: The disk is too small.
    """
    cache.mkdir(parents=True, exist_ok=True)
    evict(cache, budget, needed)
    missing = needed + beside + reserve - free(cache)
    if missing > 0:
        held = sum(entry.bytes for entry in _list_entries(cache))
        evict(cache, max(0, held - missing))
    available = free(cache)
    if available < needed + beside + reserve:
        raise InsufficientStorage(
            f"the job needs about {(needed + beside) / 1e9:.1f} GB of disk for its data and checkpoints, but the"
            f" worker's machine has {available / 1e9:.1f} GB left, {reserve / 1e9:.1f} GB of which are reserved"
        )


class _CacheEntry(NamedTuple):
    folder: Path
    last_used: float  # Unix seconds
    bytes: int


def _lock(folder: Path) -> IO[bytes] | None:
    """Returns the entry's lock file with a shared lock, or None if there is no such entry."""
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
    if removed:  # while this process waited for the lock
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
        if (folder / LOCK).exists():  # another process has made it in the meantime
            shutil.rmtree(aside, ignore_errors=True)
            return
        try:
            make(aside)
            sync_tree(aside)
            os.rename(aside, folder)
        except (Stopped, Killed, NotReady):
            raise  # another attempt, or a later try of it, continues with the folder
        except Exception as e:
            e.add_note(f"the prepared data ({folder.parent.name})")
            shutil.rmtree(aside, ignore_errors=True)
            raise
        finally:
            release_lock(lock)  # a process that was forked in the meantime must not keep it


def _claim(aside: Path) -> IO[bytes] | None:
    """Returns an unfinished folder's lock file with an exclusive lock, or None if another process has or had it."""
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


def _list_entries(cache: Path) -> list[_CacheEntry]:
    entries = [_describe_entry(folder) for folder in cache.glob("*/*")]
    return [entry for entry in entries if entry is not None]


def _describe_entry(folder: Path) -> _CacheEntry | None:
    """Describes an entry. Returns None if it is gone, or may have been begun just now."""
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


def _is_abandoned(entry: _CacheEntry) -> bool:
    """Returns True for a folder that a killed process has left and nobody will continue."""
    name = entry.folder.name
    return name.startswith(REMOVED) or (name.startswith(ASIDE) and time.time() - entry.last_used > _ABANDONED)


def _remove(entry: _CacheEntry) -> bool:
    """Removes an entry. Returns False if it is in use or gone."""
    try:
        with (entry.folder / LOCK).open("ab") as lock:
            acquire_lock(lock, wait=False)
            aside = Path(tempfile.mkdtemp(prefix=REMOVED, dir=entry.folder.parent))
            os.rename(entry.folder, aside)
            shutil.rmtree(aside, ignore_errors=True)
    except (BlockingIOError, FileNotFoundError):
        return False
    return True
