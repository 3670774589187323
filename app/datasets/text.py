"""Decoding of text: UTF-8, and UTF-16 and UTF-32 with a byte order mark. Errors name the line."""

import codecs
import io
from collections.abc import Iterator
from typing import IO, Any

from app.datasets.reports import Reason
from app.datasets.sources import TextSource, UnreadableFile
from app.errors import InvalidData

MAX_ROW = 8 * 1024 * 1024  # characters of one line, row or element; the Bible has 4.5 million
READ = 64 * 1024  # bytes decoded at once
NULS = 8  # data in which more than one byte of 8 is zero is not UTF-8 text
# The longest first: the mark of UTF-32 begins with that of UTF-16.
MARKS = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF8: "UTF-8",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}


def open_text(stream: IO[bytes], source: TextSource, newline: str | None = None) -> io.TextIOWrapper:
    """Opens a stream as text without its byte order mark. `newline` is passed to `io.TextIOWrapper`.

    Reading raises InvalidData with the line of the first invalid byte, and the exceptions of the source's budget.
    """
    return io.TextIOWrapper(io.BufferedReader(_Utf8(stream, source), READ), encoding="utf-8-sig", newline=newline)


def read_lines(stream: IO[bytes], source: TextSource) -> Iterator[tuple[int, str]]:
    """Yields (number, line with its line break). Raises InvalidData for a line that is too long."""
    text = open_text(stream, source)
    number = 0
    while line := text.readline(MAX_ROW + 1):
        number += 1
        if len(line) > MAX_ROW:
            raise too_long(f"{source.name}, line {number}")
        yield number, line


def too_long(where: str) -> InvalidData:
    return InvalidData(f"{where}: longer than the limit of {MAX_ROW:,} characters")


class _Utf8(io.RawIOBase):
    """Checks a stream's text, counts its lines, and converts it to UTF-8."""

    def __init__(self, stream: IO[bytes], source: TextSource) -> None:
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
            data += self._detect_encoding(data)
        assert self._decoder is not None
        try:
            text = self._decoder.decode(data, final=not data)
        except UnicodeDecodeError as e:
            self._count_lines(e.object[: e.start].decode(e.encoding, "replace"))
            what = "" if self._encoding == "UTF-8" else f" but broken {self._encoding}"
            raise UnreadableFile(
                f"{self._source.name}, line {self._lines + 1}: not UTF-8 text{what} ({e.reason}); save it as UTF-8",
                Reason.NOT_UTF8,
            ) from e
        self._count_lines(text)
        return data if self._encoding == "UTF-8" else text.encode()

    def _detect_encoding(self, data: bytes) -> bytes:
        """Detects the encoding. Returns the bytes that it had to read for that."""
        more = b""
        while len(data + more) < 4 and (read := self._stream.read(4)):
            more += read
        data += more
        self._encoding = next((name for mark, name in MARKS.items() if data.startswith(mark)), "UTF-8")
        if self._encoding == "UTF-8" and data.count(0) * NULS > len(data):
            raise UnreadableFile(
                f"{self._source.name}: it contains zero bytes, so it is UTF-16 or UTF-32 without a byte order mark, or"
                " not text; save it as UTF-8",
                Reason.NOT_UTF8,
            )
        self._decoder = codecs.getincrementaldecoder(self._encoding)()
        return more

    def _count_lines(self, text: str) -> None:
        """Counts line breaks; \\r\\n counts once."""
        if not text:
            return
        ends = text.count("\n")
        if "\r" in text:
            ends += text.count("\r") - text.count("\r\n")
        self._lines += ends - (self._after_return and text[0] == "\n")
        self._after_return = text[-1] == "\r"
