"""Bytes → text, with the line of what is no text. UTF-8, and UTF-16 and UTF-32 with a byte order mark."""

import codecs
import io
from collections.abc import Iterator
from typing import IO, Any

from app.datasets.sources import Source
from app.errors import InvalidData

MAX_ROW = 8 * 1024 * 1024  # characters of one line, row or element: the Bible has 4.5 million
READ = 64 * 1024  # bytes decoded at once
NULS = 8  # one byte in so many is zero: no text, or UTF-16
# The longest first: UTF-32's mark begins with that of UTF-16.
MARKS = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF8: "UTF-8",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}


def open_text(stream: IO[bytes], source: Source, newline: str | None = None) -> io.TextIOWrapper:
    """The text of a stream without its byte order mark; `newline` is that of `io.TextIOWrapper`.

    Reading raises InvalidData with the line of the first byte that is wrong, and what the source's budget raises.
    """
    return io.TextIOWrapper(io.BufferedReader(_Utf8(stream, source), READ), encoding="utf-8-sig", newline=newline)


def read_lines(stream: IO[bytes], source: Source) -> Iterator[tuple[int, str]]:
    """(number, line), each with its end. Raises InvalidData for a line that is too long."""
    text = open_text(stream, source)
    number = 0
    while line := text.readline(MAX_ROW + 1):
        number += 1
        if len(line) > MAX_ROW:
            raise too_long(f"{source.name}, line {number}")
        yield number, line


def too_long(where: str) -> InvalidData:
    return InvalidData(f"{where}: longer than {MAX_ROW:,} characters, which is the limit")


class _Utf8(io.RawIOBase):
    """Checks a stream's text, counts its lines, and gives it as UTF-8."""

    def __init__(self, stream: IO[bytes], source: Source) -> None:
        self._stream, self._source = stream, source
        self._encoding = ""
        self._decoder: codecs.IncrementalDecoder | None = None
        self._lines, self._after_return = 0, False
        self._checked = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        while not self._checked:
            data = self._stream.read(READ)
            self._source.budget.spend(len(data))
            self._checked = memoryview(self._check(data))
            if not data:
                break
        count = min(len(buffer), len(self._checked))
        buffer[:count] = self._checked[:count]
        self._checked = self._checked[count:]
        return count

    def _check(self, data: bytes) -> bytes:
        if self._decoder is None:
            data += self._begin(data)
        assert self._decoder is not None
        try:
            text = self._decoder.decode(data, final=not data)
        except UnicodeDecodeError as e:
            self._count(e.object[: e.start].decode(e.encoding, "replace"))
            what = "" if self._encoding == "UTF-8" else f" but broken {self._encoding}"
            raise InvalidData(
                f"{self._source.name}, line {self._lines + 1}: not UTF-8 text{what} ({e.reason}); save it as UTF-8"
            ) from e
        self._count(text)
        return data if self._encoding == "UTF-8" else text.encode()

    def _begin(self, data: bytes) -> bytes:
        """Finds the encoding; returns what had to be read for it."""
        more = b""
        while len(data + more) < 4 and (read := self._stream.read(4)):
            more += read
        data += more
        self._encoding = next((name for mark, name in MARKS.items() if data.startswith(mark)), "UTF-8")
        if self._encoding == "UTF-8" and data.count(0) * NULS > len(data):
            raise InvalidData(
                f"{self._source.name}: zero bytes show that this is UTF-16 or UTF-32 without a byte order mark, or no"
                " text at all; save it as UTF-8"
            )
        self._decoder = codecs.getincrementaldecoder(self._encoding)()
        return more

    def _count(self, text: str) -> None:
        """Counts line ends, of which \\r\\n is one."""
        if not text:
            return
        ends = text.count("\n")
        if "\r" in text:
            ends += text.count("\r") - text.count("\r\n")
        self._lines += ends - (self._after_return and text[0] == "\n")
        self._after_return = text[-1] == "\r"
