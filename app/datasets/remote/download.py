"""Copies of remote files: exact, and continued where an earlier process was stopped or killed.

A file whose server tells no version is not continued but begun anew, because two parts might be of different contents.

The folder of a copy contains

    content        the bytes received so far
    saved          how many of them are synced to the disk; a killed process loses only the bytes after that
    sha256         the digest, once the copy is complete
"""

import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from app.datasets.remote.files import open_remote
from app.errors import InvalidData, NotReady
from app.system.durable import sync_open, write_bytes
from app.system.remote_access import RemoteAccess
from app.types import RemoteFile

CHUNK = 256 * 1024
SAVED_BYTES = 64 * 1024 * 1024  # after which the content is synced
TRIES = 6  # without a new byte between them
FIRST_PAUSE = 0.5  # seconds before the second try; then twice as many, and so on


def download(
    file: RemoteFile,
    access: RemoteAccess,
    folder: Path,
    listen: Callable[[int], None] = lambda received: None,
    *,
    saved_bytes: int = SAVED_BYTES,
    pause: Callable[[float], None] = time.sleep,
    **options: Any,
) -> None:
    """Completes the copy of a file in a folder. Memory is bounded whatever the file's size.

    listen: called with the bytes received, and between tries. It may raise to stop the download, which can be
    continued. options: of `open_range`; they and `pause` are replaced in tests.

    Raises InvalidData if the file has changed or its digest is another one, and as `open_remote` does.
    """
    with _Copy(folder, saved_bytes) as copy:
        tries, before = 0, copy.size
        while copy.size < file.bytes:
            if not file.has_version:
                copy.clear()
            try:
                _receive(copy, file, access, listen, options)
            except NotReady:
                tries = 1 if copy.size > before else tries + 1
                before = max(before, copy.size)
                if tries == TRIES:
                    raise
                listen(copy.size)
                pause(FIRST_PAUSE * 2 ** (tries - 1))
        digest = copy.finish()
    if file.sha256 not in (None, digest):
        raise InvalidData(f"{file.address}: the content has the SHA-256 {digest}; its server promised {file.sha256}")
    write_bytes(folder / "sha256", digest.encode())


def _receive(
    copy: "_Copy", file: RemoteFile, access: RemoteAccess, listen: Callable[[int], None], options: dict[str, Any]
) -> None:
    stream = open_remote(file, copy.size, access, on_discard=lambda count: listen(copy.size), **options)
    try:
        while copy.size < file.bytes and (data := stream.read(min(CHUNK, file.bytes - copy.size))):
            copy.add(data)
            listen(copy.size)
    finally:
        stream.close()


class _Copy:
    """The content received so far. Leaving the context saves it."""

    def __init__(self, folder: Path, saved_bytes: int) -> None:
        self._folder, self._saved_bytes = folder, saved_bytes
        self._digest = hashlib.sha256()
        self.size = self._saved = self._read_saved()

    def _read_saved(self) -> int:
        """Returns the saved bytes, or 0 if the content is shorter than that."""
        try:
            saved = int((self._folder / "saved").read_text())
            return saved if (self._folder / "content").stat().st_size >= saved else 0
        except (FileNotFoundError, ValueError):
            return 0

    def __enter__(self) -> "_Copy":
        path = self._folder / "content"
        path.touch()
        self._file: IO[bytes] = path.open("r+b", buffering=0)
        self._file.truncate(self.size)
        while data := self._file.read(CHUNK):
            self._digest.update(data)
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._save()
        finally:
            self._file.close()

    def clear(self) -> None:
        """Removes the content."""
        if self.size:
            write_bytes(self._folder / "saved", b"0")
            self._file.seek(0)
            self._file.truncate()
            self._digest = hashlib.sha256()
            self.size = self._saved = 0

    def add(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:  # one call may write a part
            rest = rest[self._file.write(rest) :]
        self._digest.update(data)
        self.size += len(data)
        if self.size - self._saved >= self._saved_bytes:
            self._save()

    def _save(self) -> None:
        if self.size > self._saved:
            sync_open(self._file)
            write_bytes(self._folder / "saved", str(self.size).encode())
            self._saved = self.size

    def finish(self) -> str:
        """Saves the content and returns its digest."""
        self._save()
        return self._digest.hexdigest()
