"""Free disk space: a reserve that large writes leave alone, and the errors of a full disk."""

import contextlib
import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from app.errors import InsufficientStorage

_LARGEST_RESERVE = 2**30  # bytes
_RESERVE_SHARE = 0.05  # of the disk
_LARGEST_BALLAST = 16 * 2**20  # bytes; an embedded Redis with one idle worker writes about 1 MiB an hour
_BALLAST_SHARE = 1 / 64  # of the disk, if it is a small one

# Both as error numbers and as the text of an error that a library has wrapped.
_FULL = (errno.ENOSPC, errno.EDQUOT)
_FULL_TEXTS = tuple(map(os.strerror, _FULL))


class Usage(Protocol):
    @property
    def total(self) -> int: ...
    @property
    def free(self) -> int: ...


def disk_usage(folder: Path) -> Usage:
    """The usage of the disk that holds `folder`, which need not exist yet; in bytes."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder)


class DiskReserve:
    """Refuses what would leave less than the reserve free on a disk.

    reserve: bytes; None: 1 GiB or 5 % of the disk, whichever is less.
    """

    def __init__(
        self, folder: Path, reserve: int | None = None, *, usage: Callable[[Path], Usage] = disk_usage
    ) -> None:
        self._folder, self._reserve, self._usage = folder, reserve, usage

    @property
    def size(self) -> int:
        """Bytes that are kept free."""
        if self._reserve is not None:
            return self._reserve
        return min(_LARGEST_RESERVE, int(self._usage(self._folder).total * _RESERVE_SHARE))

    def check(self, needed: int = 0, *, reclaimable: int = 0) -> None:
        """Raises InsufficientStorage if `needed` more bytes would take from the reserve.

        reclaimable: bytes that are in use, and are given up where the space is needed.
        """
        free, reserve = self._usage(self._folder).free, self.size
        if free + reclaimable < needed + reserve:
            wanted = f", and {format_bytes(needed)} are needed" if needed else ""
            raise InsufficientStorage(
                f"the disk has no room for it: {format_bytes(free + reclaimable)} are left, of which"
                f" {format_bytes(reserve)} stay in reserve{wanted}"
            )


class Ballast:
    """A file that only takes up space. It is deleted when the disk is full, so that small writes succeed again."""

    def __init__(self, file: Path, *, usage: Callable[[Path], Usage] = disk_usage) -> None:
        self._file, self._usage = file, usage

    def make_room(self) -> bool:
        """Deletes the file if the disk is full. Returns whether there is room for small writes."""
        size = self._size()
        if self._free() < size:
            self._file.unlink(missing_ok=True)
        return self._free() >= size // 2

    def restore(self) -> None:
        """Creates the file again if there is ample space. A disk that refuses it is no error."""
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
        return min(_LARGEST_BALLAST, int(self._usage(self._file.parent).total * _BALLAST_SHARE))

    def _free(self) -> int:
        return self._usage(self._file.parent).free


def full_disk(error: BaseException, disk: str = "the disk") -> InsufficientStorage | None:
    """Returns InsufficientStorage if the error or one of its causes says that a disk is full; otherwise None.

    The causes count because libraries wrap the error: safetensors quotes its text, and torch fails for
    another reason after it. A note of an error (`add_note`) names what could not be written.
    disk: what the message calls it.
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
    """A count of bytes in the unit that suits it: 1.5 GB, 20 MB, 3 kB."""
    for unit, size in (("GB", 10**9), ("MB", 10**6)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count / 1000:.1f} kB"
