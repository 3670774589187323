"""The local copies of versions that are kept in a bucket: a bounded folder, which several processes share.

Each version has a folder. Its content has the digests of the manifest, or is fetched again. A folder that is in use is
locked, and locked folders are not evicted. Others are, the least recently used first.
"""

import hashlib
import os
import shutil
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG

from app.errors import InsufficientStorage, InvalidModel
from app.system.disk_space import format_bytes
from app.system.locks import acquire_lock, hold_lock

SETTING = "CLOZE_MODEL_CACHE_BYTES"
_PART = ".part"  # ends the name of a file that is being fetched

_Signature = tuple[int, int, int, int]


@dataclass(frozen=True)
class WantedFile:
    """A file of a version. fetch: returns its size in bytes, and an iterator of its content."""

    sha256: str
    fetch: Callable[[], tuple[int, Iterator[bytes]]]


class CachedFolder:
    """A locked folder of the cache. It stays as long as this object is referenced."""

    def __init__(self, path: Path) -> None:
        self.path = path
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        acquire_lock(descriptor, shared=True)
        weakref.finalize(self, os.close, descriptor)


class ModelCache:
    """Thread-safe, also among processes.

    max_bytes: of all files. keep: hold every folder that was opened until the process ends, for a job, which may read
    its base at any time.
    """

    def __init__(self, folder: Path, max_bytes: int, *, keep: bool = False) -> None:
        self._folder, self._max_bytes = folder, max_bytes
        self._kept: list[CachedFolder] | None = [] if keep else None
        self._verified: dict[Path, tuple[str, _Signature]] = {}

    def open(self, key: str, files: Mapping[str, WantedFile]) -> CachedFolder:
        """Returns the folder of a version with all of its files, which are fetched unless they are there.

        Raises InsufficientStorage if the versions in use leave no room, and InvalidModel for content that has another
        digest than its name says.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        folder = self._lock(key)
        missing = {name: file for name, file in files.items() if not self._is_intact(folder.path / name, file)}
        if missing:
            with hold_lock(folder.path / ".fill", create=True):  # others that want the same version wait for its files
                for name, file in missing.items():
                    if not self._is_intact(folder.path / name, file):
                        self._fetch(folder.path / name, file, key)
        if self._kept is not None:
            self._kept.append(folder)
        return folder

    def _lock(self, key: str) -> CachedFolder:
        with self._evicting():
            path = self._folder / key
            path.mkdir(exist_ok=True)
            folder = CachedFolder(path)
            os.utime(path)
        return folder

    def _is_intact(self, path: Path, file: WantedFile) -> bool:
        """Compares the digest of a file. One that this process has read before is not read again unless it changed."""
        try:
            stat = path.stat()
        except FileNotFoundError:
            return False
        signature = (stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
        if self._verified.get(path) == (file.sha256, signature):
            return True
        with path.open("rb") as content:
            intact = hashlib.file_digest(content, "sha256").hexdigest() == file.sha256
        if intact:
            self._verified[path] = (file.sha256, signature)
        return intact

    def _fetch(self, path: Path, file: WantedFile, key: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}{_PART}")
        size, content = file.fetch()
        self._reserve(part, size, key)
        digest = hashlib.sha256()
        try:
            with part.open("r+b") as out:
                for piece in content:
                    digest.update(piece)
                    out.write(piece)
                out.truncate()
            if digest.hexdigest() != file.sha256:
                raise InvalidModel(f"{path.name} of {key} has another content in the bucket than its manifest says")
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)

    def _reserve(self, part: Path, size: int, key: str) -> None:
        """Makes room for a file, and creates it with its size, so that other processes count it."""
        with self._evicting():
            self._make_room(size, key)
            with part.open("wb") as out:
                out.truncate(size)

    def _make_room(self, needed: int, key: str) -> None:
        folders = sorted((each for each in self._folder.iterdir() if each.is_dir()), key=_last_used)
        sizes = {each: _size(each) for each in folders}
        used = sum(sizes.values())
        for folder in folders:
            if used + needed <= self._max_bytes:
                return
            if folder.name != key and _evict(folder):
                used -= sizes[folder]
        if used + needed > self._max_bytes:
            raise InsufficientStorage(
                f"the cache of models has no room for {key}: versions in use take {format_bytes(used)} and"
                f" {format_bytes(needed)} are needed, but {SETTING} is {format_bytes(self._max_bytes)}"
            )

    def _evicting(self) -> AbstractContextManager[None]:
        """The lock under which folders come and go."""
        return hold_lock(self._folder / ".lock", create=True)


def _last_used(folder: Path) -> float:
    try:
        return folder.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _size(folder: Path) -> int:
    """Bytes of the files in a folder, in which other processes may be renaming some."""
    total = 0
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):
            stat = path.stat()
            total += stat.st_size if S_ISREG(stat.st_mode) else 0
    return total


def _evict(folder: Path) -> bool:
    """Deletes a folder. Returns False if a process uses it."""
    try:
        with hold_lock(folder, wait=False):
            shutil.rmtree(folder)
    except BlockingIOError:
        return False
    return True
