"""Free disk space: a reserve that large writes must not use, and the errors of a full disk."""

import contextlib
import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from app.errors import InsufficientStorage

_MAX_RESERVE = 2**30  # bytes
_RESERVE_SHARE = 0.05  # of the disk
_MAX_BALLAST = 16 * 2**20  # bytes; an embedded Redis with one idle worker writes about 1 MiB an hour
_BALLAST_SHARE = 1 / 64  # of a small disk

# Errors of a full disk: as numbers, and as the text that a library keeps when it wraps such an error.
_FULL = (errno.ENOSPC, errno.EDQUOT)
_FULL_TEXTS = tuple(map(os.strerror, _FULL))


class DiskUsage(Protocol):
    @property
    def total(self) -> int: ...
    @property
    def free(self) -> int: ...


def disk_usage(folder: Path) -> DiskUsage:
    """Returns the size and the free space, in bytes, of the disk that holds `folder`. The folder need not exist."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder)


class DiskReserve:
    """Refuses writes that would leave less than the reserve free on a disk.

    reserve: bytes to keep free. None keeps 1 GiB or 5 % of the disk, whichever is less.
    """

    def __init__(
        self, folder: Path, reserve: int | None = None, *, usage: Callable[[Path], DiskUsage] = disk_usage
    ) -> None:
        self._folder, self._reserve, self._usage = folder, reserve, usage

    @property
    def size(self) -> int:
        """The size of the reserve in bytes."""
        if self._reserve is not None:
            return self._reserve
        return min(_MAX_RESERVE, int(self._usage(self._folder).total * _RESERVE_SHARE))

    def check(self, needed: int = 0, *, reclaimable: int = 0) -> None:
        """Raises InsufficientStorage if `needed` more bytes would use part of the reserve.

        reclaimable: bytes in use that are freed when the space is needed.
        """
        free, reserve = self._usage(self._folder).free, self.size
        if free + reclaimable < needed + reserve:
            wanted = f"; {format_bytes(needed)} are needed" if needed else ""
            raise InsufficientStorage(
                f"not enough disk space: {format_bytes(free + reclaimable)} are free, of which"
                f" {format_bytes(reserve)} are reserved{wanted}"
            )


class Ballast:
    """A file that occupies disk space. Deleting it when the disk is full lets small writes succeed again."""

    def __init__(self, file: Path, *, usage: Callable[[Path], DiskUsage] = disk_usage) -> None:
        self._file, self._usage = file, usage

    def make_room(self) -> bool:
        """Deletes the file if the disk is full. Returns True if small writes now have room."""
        size = self._size()
        if self._free() < size:
            self._file.unlink(missing_ok=True)
        return self._free() >= size // 2

    def restore(self) -> None:
        """Creates the file again if there is plenty of space. Ignores a failure to do so."""
        size = self._size()
        if self._file.exists() or self._free() < 4 * size:
            return
        try:
            with self._file.open("wb") as out:
                os.posix_fallocate(out.fileno(), 0, size)
        except OSError:
            with contextlib.suppress(OSError):
                self._file.unlink(missing_ok=True)

    def _size(self) -> int:
        return min(_MAX_BALLAST, int(self._usage(self._file.parent).total * _BALLAST_SHARE))

    def _free(self) -> int:
        return self._usage(self._file.parent).free


def full_disk(error: BaseException, disk: str = "the disk") -> InsufficientStorage | None:
    """Returns InsufficientStorage if the error or one of its causes means a full disk, else None.

    Causes are checked because libraries wrap the error: safetensors quotes its text, and torch raises another error
    after it. A note on an error (`add_note`) names the file that could not be written.

    disk: the name of the disk in the message.
    """
    causes = [error]
    while (cause := causes[-1].__cause__ or causes[-1].__context__) is not None and cause not in causes:
        causes.append(cause)
    if not any(map(_says_full, causes)):
        return None
    written = next((f", so {note} could not be written" for c in causes for note in getattr(c, "__notes__", ())), "")
    return InsufficientStorage(f"{disk} is full{written}")


def _says_full(error: BaseException) -> bool:
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in _FULL
    return any(text in str(error) for text in _FULL_TEXTS)


def format_bytes(count: int) -> str:
    """Formats a number of bytes with a decimal unit: 1.5 GB, 20.0 MB, 3.0 kB."""
    for unit, size in (("GB", 10**9), ("MB", 10**6)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count / 1000:.1f} kB"
