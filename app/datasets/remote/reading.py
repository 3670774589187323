"""A remote file as a seekable one, so that its beginning can be checked before a job is created."""

import io
import time
from dataclasses import dataclass
from typing import Any, Literal

from app.datasets.remote.files import RemoteStream, open_remote
from app.errors import NotReady, TooLarge
from app.system.remote_access import RemoteAccess
from app.types import RemoteFile

MIB = 1024 * 1024
MAX_READ = 256 * MIB  # bytes that a check may transfer
MAX_SECONDS = 60.0  # that a check may take
SKIPPED = MIB  # bytes that are read rather than requested anew
BUFFER = 256 * 1024
TRIES = 3


@dataclass(frozen=True)
class FileSize:
    st_size: int


@dataclass(frozen=True)
class RemotePath:
    """A remote file with the methods of a Path that checks of data files use. It can be pickled."""

    file: RemoteFile
    access: RemoteAccess

    def open(self, mode: Literal["rb"]) -> io.BufferedReader:
        return io.BufferedReader(RemoteReader(self.file, self.access), BUFFER)

    def stat(self) -> FileSize:
        return FileSize(self.file.bytes)


class RemoteReader(io.RawIOBase):
    """Reads a remote file at any position. A seek beyond the next MiB opens another connection.

    Reading raises TooLarge beyond MAX_READ bytes or MAX_SECONDS, InvalidData if the file has changed, and NotReady if
    the connection fails several times. options: of `open_range`, replaced in tests.
    """

    def __init__(self, file: RemoteFile, access: RemoteAccess, **options: Any) -> None:
        self._file, self._access, self._options = file, access, options
        self._stream: RemoteStream | None = None
        self._reached = 0  # position of the stream
        self._position = 0
        self._left = MAX_READ
        self._deadline = time.monotonic() + MAX_SECONDS

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._file.bytes}[whence]
        self._position = max(0, start + offset)
        return self._position

    def readinto(self, buffer: Any, /) -> int:
        if self._position >= self._file.bytes:
            return 0
        for attempt in range(TRIES):
            try:
                data = self._read(len(buffer))
                break
            except NotReady:
                self._drop()
                if attempt == TRIES - 1:
                    raise
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)

    def close(self) -> None:
        self._drop()
        super().close()

    def _read(self, count: int) -> bytes:
        stream = self._stream_at(self._position)
        return self._spend(stream.read(count))

    def _stream_at(self, position: int) -> RemoteStream:
        if self._stream is not None and not 0 <= position - self._reached <= SKIPPED:
            self._drop()
        if self._stream is None:
            self._stream = open_remote(self._file, position, self._access, on_discard=self._count, **self._options)
            self._reached = position
        while self._reached < position:
            self._spend(self._stream.read(position - self._reached))
        return self._stream

    def _spend(self, data: bytes) -> bytes:
        self._reached += len(data)
        self._count(len(data))
        return data

    def _count(self, transferred: int) -> None:
        """Counts transferred bytes. Raises TooLarge beyond the limits."""
        self._left -= transferred
        if self._left < 0 or time.monotonic() > self._deadline:
            raise TooLarge(
                f"{self._file.address}: checking its beginning takes more than {MAX_READ // MIB} MiB or"
                f" {MAX_SECONDS:.0f} seconds of transfer"
            )

    def _drop(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None
