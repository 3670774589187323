"""Compressed files as streams: .gz, .xz and .zst. Memory is bounded whatever their unpacked size.

A file may hold several streams or frames, end to end. Unlike some libraries, these readers raise EOFError for a file
that is cut off.
"""

import io
import lzma
import resource
import zlib
from collections.abc import Callable
from pathlib import Path, PurePath
from typing import IO, Any, Protocol, cast

import zstandard

from app.datasets.sources import Refusal
from app.media.limits import MIB
from app.system.proc import MEMINFO, read_memory

READ = 8192  # packed bytes read at once
UNPACKED = 256 * 1024  # bytes unpacked at once
ZSTD_READ = 1024  # small: 4 bytes of zstd may unpack to 128 KiB, and the decoder returns everything at once
XZ_MEMORY = 1024 * MIB  # xz -9 needs 65 MiB
ZSTD_WINDOW = 2048 * MIB  # zstd --long=31, the longest window


class Codec(Protocol):
    """Unpacks one stream or frame."""

    def feed(self, data: bytes) -> bytes:
        """Unpacks more data. Returns b"" if it needs more packed data."""
        ...

    @property
    def needs_input(self) -> bool:
        """True if it needs more packed data."""
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
    def needs_input(self) -> bool:
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
                    f"its dictionary needs more than {XZ_MEMORY // MIB} MiB of memory; compress it again with xz -9"
                ) from e
            raise

    @property
    def needs_input(self) -> bool:
        return self._codec.needs_input

    @property
    def eof(self) -> bool:
        return self._codec.eof

    @property
    def unused_data(self) -> bytes:
        return self._codec.unused_data


class _Zstd:
    needs_input = True

    def __init__(self) -> None:
        self._window = window_limit()
        self._codec = zstandard.ZstdDecompressor(max_window_size=self._window).decompressobj()

    def feed(self, data: bytes) -> bytes:
        try:
            return self._codec.decompress(data)
        except zstandard.ZstdError as e:
            if "memory" in str(e).lower():
                raise Refusal(
                    f"its window is longer than the {self._window // MIB} MiB that this process can hold;"
                    " compress it again with a shorter one, such as zstd --long=27"
                ) from e
            raise

    @property
    def eof(self) -> bool:
        return self._codec.eof

    @property
    def unused_data(self) -> bytes:
        return self._codec.unused_data


def window_limit(meminfo: Path = MEMINFO) -> int:
    """Returns the longest zstd window that is accepted, in bytes: 128 MiB to 2 GiB.

    Above 128 MiB, it is at most a quarter of the free memory and three quarters of this process's memory limit.
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
    """A stream of unpacked bytes. Closing it leaves the packed stream open.

    Reading raises the codec's errors, and EOFError if the packed stream is cut off.
    """

    def __init__(self, packed: IO[bytes], codec: Callable[[], Codec], size: int = READ) -> None:
        self._packed, self._codec, self._size = packed, codec, size
        self._frame: Codec | None = None
        self._started = False
        self._pending = b""  # packed bytes after the end of a frame
        self._unpacked = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        while not self._unpacked:
            if not self._unpack():
                return 0
        count = min(len(buffer), len(self._unpacked))
        buffer[:count] = self._unpacked[:count]
        self._unpacked = self._unpacked[count:]
        return count

    def _unpack(self) -> bool:
        """Unpacks more data. Returns False at the end."""
        if self._frame is None:
            return self._start_frame()
        data = self._read_packed() if self._frame.needs_input else b""
        unpacked = self._frame.feed(data)
        self._unpacked = memoryview(unpacked)
        if self._frame.eof:
            self._pending = (self._frame.unused_data + self._pending).lstrip(b"\0")  # zeros are padding
            self._frame = None
        elif not data and not unpacked:
            raise EOFError("it ends too early")
        return True

    def _start_frame(self) -> bool:
        """Starts the next stream or frame. Returns False if there is none."""
        while not self._pending:
            self._pending = self._packed.read(self._size)
            if not self._pending and not self._started:
                raise EOFError("it is empty")
            if not self._pending:
                return False
            if self._started:
                self._pending = self._pending.lstrip(b"\0")
        self._frame, self._started = self._codec(), True
        return True

    def _read_packed(self) -> bytes:
        data, self._pending = self._pending[: self._size], self._pending[self._size :]
        return data or self._packed.read(self._size)


Opener = Callable[[IO[bytes]], IO[bytes]]

COMPRESSIONS: dict[str, Opener] = {
    ".gz": lambda packed: cast(IO[bytes], Unpacked(packed, _Gzip)),
    ".xz": lambda packed: cast(IO[bytes], Unpacked(packed, _Xz)),
    ".zst": lambda packed: cast(IO[bytes], Unpacked(packed, _Zstd, ZSTD_READ)),
}


def inner_suffix(name: str) -> str:
    """Returns the suffix of a file once it is unpacked: `.txt` for `a.TXT.gz`."""
    path = PurePath(name)
    suffix = path.suffix.lower()
    return PurePath(path.stem).suffix.lower() if suffix in COMPRESSIONS else suffix
