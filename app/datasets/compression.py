"""Compressed files as streams: .gz, .xz and .zst. Memory is bounded whatever they unpack to.

Each may hold several streams or frames, end to end. One that is cut off raises EOFError, which the readers of
some libraries do not.
"""

import io
import lzma
import resource
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, Protocol, cast

import zstandard

from app.datasets.sources import Refusal
from app.media.limits import MIB
from app.system.proc import MEMINFO, read_memory

READ = 8192  # packed bytes read at once
UNPACKED = 256 * 1024  # bytes unpacked at once
ZSTD_READ = 1024  # 4 bytes of zstd may give 128 KiB, and its decoder returns all that it unpacks
XZ_MEMORY = 1024 * MIB  # xz -9 needs 65 MiB
ZSTD_WINDOW = 2048 * MIB  # zstd --long=31, the longest that there is


class Codec(Protocol):
    """Unpacks one stream or frame."""

    def feed(self, data: bytes) -> bytes:
        """Unpacks more of it; b"" where it needs more data."""
        ...

    @property
    def hungry(self) -> bool:
        """Whether it needs more data."""
        ...

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...


class _Gzip:
    def __init__(self) -> None:
        self._codec, self._tail = zlib.decompressobj(wbits=31), b""

    def feed(self, data: bytes) -> bytes:
        unpacked = self._codec.decompress(self._tail + data, UNPACKED)
        self._tail = self._codec.unconsumed_tail
        return unpacked

    @property
    def hungry(self) -> bool:
        return not self._tail

    @property
    def eof(self) -> bool:
        return self._codec.eof

    @property
    def unused_data(self) -> bytes:
        return self._codec.unused_data


class _Xz:
    def __init__(self) -> None:
        self._codec = lzma.LZMADecompressor(lzma.FORMAT_AUTO, memlimit=XZ_MEMORY)

    def feed(self, data: bytes) -> bytes:
        try:
            return self._codec.decompress(data, UNPACKED)
        except lzma.LZMAError as e:
            if "memory" in str(e).lower():
                raise Refusal(
                    f"packed with a dictionary that takes more than {XZ_MEMORY // MIB} MiB; pack it again with xz -9"
                ) from e
            raise

    @property
    def hungry(self) -> bool:
        return self._codec.needs_input

    @property
    def eof(self) -> bool:
        return self._codec.eof

    @property
    def unused_data(self) -> bytes:
        return self._codec.unused_data


class _Zstd:
    hungry = True

    def __init__(self) -> None:
        self._window = window_limit()
        self._codec = zstandard.ZstdDecompressor(max_window_size=self._window).decompressobj()

    def feed(self, data: bytes) -> bytes:
        try:
            return self._codec.decompress(data)
        except zstandard.ZstdError as e:
            if "memory" in str(e).lower():
                raise Refusal(
                    f"packed with a window of more than the {self._window // MIB} MiB that this process can hold;"
                    " pack it again with a shorter one, as zstd --long=27 does"
                ) from e
            raise

    @property
    def eof(self) -> bool:
        return self._codec.eof

    @property
    def unused_data(self) -> bytes:
        return self._codec.unused_data


def window_limit(meminfo: Path = MEMINFO) -> int:
    """The longest zstd window that is accepted, in bytes: 128 MiB to 2 GiB.

    It takes at most a quarter of the free memory, and three quarters of what this process may have.
    """
    try:
        free = read_memory(meminfo)["MemAvailable"]
    except (OSError, KeyError):
        free = 4 * ZSTD_WINDOW
    allowed = resource.getrlimit(resource.RLIMIT_DATA)[0]
    most = free / 4 if allowed == resource.RLIM_INFINITY else min(free / 4, allowed * 3 / 4)
    window = 128 * MIB
    while window < ZSTD_WINDOW and window * 2 <= most:
        window *= 2
    return window


class Unpacked(io.RawIOBase):
    """The unpacked bytes of a stream, which is left open. Raises the codec's errors, and EOFError if it is cut off."""

    def __init__(self, packed: IO[bytes], codec: Callable[[], Codec], size: int = READ) -> None:
        self._packed, self._codec, self._size = packed, codec, size
        self._frame: Codec | None = None
        self._begun = False
        self._waiting = b""  # packed bytes behind the end of a frame
        self._unpacked = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        while not self._unpacked:
            if not self._next():
                return 0
        count = min(len(buffer), len(self._unpacked))
        buffer[:count] = self._unpacked[:count]
        self._unpacked = self._unpacked[count:]
        return count

    def _next(self) -> bool:
        """Unpacks some more; False at the end."""
        if self._frame is None:
            return self._begin()
        data = self._take() if self._frame.hungry else b""
        unpacked = self._frame.feed(data)
        self._unpacked = memoryview(unpacked)
        if self._frame.eof:
            self._waiting = (self._frame.unused_data + self._waiting).lstrip(b"\0")  # padding
            self._frame = None
        elif not data and not unpacked:
            raise EOFError("it ends too early")
        return True

    def _begin(self) -> bool:
        """Begins the next stream or frame; False where there is none."""
        while not self._waiting:
            self._waiting = self._packed.read(self._size)
            if not self._waiting and not self._begun:
                raise EOFError("it is empty")
            if not self._waiting:
                return False
            if self._begun:
                self._waiting = self._waiting.lstrip(b"\0")
        self._frame, self._begun = self._codec(), True
        return True

    def _take(self) -> bytes:
        data, self._waiting = self._waiting[: self._size], self._waiting[self._size :]
        return data or self._packed.read(self._size)


Opener = Callable[[IO[bytes]], IO[bytes]]

COMPRESSIONS: dict[str, Opener] = {
    ".gz": lambda packed: cast(IO[bytes], Unpacked(packed, _Gzip)),
    ".xz": lambda packed: cast(IO[bytes], Unpacked(packed, _Xz)),
    ".zst": lambda packed: cast(IO[bytes], Unpacked(packed, _Zstd, ZSTD_READ)),
}
