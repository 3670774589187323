"""Text files of many formats, read as a stream of documents.

    .txt      documents end at an empty line, or once they are very long at the end of a line
    .jsonl    one JSON object (its `text_column`) or one JSON string a line
    .json     an array of the same
    .csv      with a header row
    .parquet  by row groups
    …         each also compressed: .gz .xz .zst; and .zip of any of them

Nothing is read whole but compressed parquet files, which must be small, and the directory of a .zip;
memory stays bounded by one document.
"""

import csv
import gzip
import io
import itertools
import json
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePath
from typing import IO, BinaryIO, cast

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from app.errors import InvalidData

MAX_LINE_CHARS = 64 * 1024 * 1024
MAX_PARAGRAPH = 1_000_000  # characters, of a .txt: one without empty lines is not one document
MAX_PACKED_PARQUET = 64 * 1024 * 1024  # bytes, unpacked: it is held in memory
MAX_ZIP_ENTRIES = 100_000
MAX_ZIP_RATIO = 1000  # a decompression bomb, not text
_ENCRYPTED = 0x1  # of a zip entry's flags
_PIECE = 64 * 1024  # characters of JSON that are read at once
_LONGEST_WORD = 16  # above the characters of "-Infinity", the longest piece of JSON besides strings and numbers
_DECODER = json.JSONDecoder()

Opener = Callable[[BinaryIO], IO[bytes]]
Reader = Callable[[IO[bytes], str, str], Iterator[str]]

COMPRESSIONS: dict[str, Opener] = {
    ".gz": lambda f: cast(IO[bytes], gzip.open(f)),  # noqa: SIM115 - closed with the file below it
    ".xz": lambda f: cast(IO[bytes], lzma.open(f)),  # noqa: SIM115
    ".zst": lambda f: cast(IO[bytes], zstandard.ZstdDecompressor().stream_reader(f, read_across_frames=True)),
}


def read_documents(path: Path, filename: str, text_column: str = "text") -> Iterator[str]:
    """The documents of one file, stripped, empty ones left out; what is no character is U+FFFD.

    `filename` carries the format (`path` may be an upload without a suffix). Raises InvalidData
    naming the file, the line and what was expected.
    """
    with path.open("rb") as file:
        yield from read_open(file, filename, text_column)


def read_open(file: BinaryIO, filename: str, text_column: str) -> Iterator[str]:
    """As `read_documents`, from a file that its caller has opened."""
    try:
        for document in _read_stream(file, filename, text_column):
            if text := document.strip():
                yield _characters(text)
    except UnicodeDecodeError as e:
        raise InvalidData(f"{filename}: not UTF-8 text ({e.reason} at byte {e.start} of a block)") from e
    except NotImplementedError as e:
        raise InvalidData(f"{filename}: compressed in a way that cannot be read ({e})") from e
    except (EOFError, lzma.LZMAError, zstandard.ZstdError, zipfile.BadZipFile, gzip.BadGzipFile, zlib.error) as e:
        raise InvalidData(f"{filename}: the compressed data is broken or cut off ({e})") from e


def _characters(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:  # JSON may hold one half of a pair of surrogates
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _read_stream(file: BinaryIO, name: str, column: str) -> Iterator[str]:
    suffix = PurePath(name).suffix.lower()
    if suffix == ".zip":
        yield from _read_zip(file, name, column)
        return
    if opener := COMPRESSIONS.get(suffix):
        stream = opener(file)
        yield from _reader_for(PurePath(name).stem, name)(stream, name, column)
        return
    yield from _reader_for(name, name)(file, name, column)


def _reader_for(inner: str, name: str) -> Reader:
    reader = READERS.get(PurePath(inner).suffix.lower())
    if reader is None:
        raise InvalidData(
            f"{name}: unknown format; expected {', '.join(READERS)}, each also {', '.join(COMPRESSIONS)},"
            " or .zip of them"
        )
    return reader


def _read_zip(file: BinaryIO, name: str, column: str) -> Iterator[str]:
    with zipfile.ZipFile(file) as archive:
        entries = [e for e in archive.infolist() if not e.is_dir() and not is_hidden(e.filename)]
        if len(entries) > MAX_ZIP_ENTRIES:
            raise InvalidData(f"{name}: {len(entries)} entries, more than {MAX_ZIP_ENTRIES}")
        for entry in sorted(entries, key=lambda e: e.filename):
            if entry.file_size > MAX_ZIP_RATIO * max(entry.compress_size, 1024):
                raise InvalidData(f"{name}: {entry.filename} unpacks to more than {MAX_ZIP_RATIO} times its size")
            if entry.flag_bits & _ENCRYPTED:
                raise InvalidData(f"{name}: {entry.filename} is encrypted")
            if PurePath(entry.filename).suffix.lower() == ".zip":
                raise InvalidData(f"{name}: {entry.filename} is an archive within the archive")
            with archive.open(entry) as inner:
                yield from _read_stream(cast(BinaryIO, inner), f"{name}/{entry.filename}", column)


def is_hidden(path: str) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in PurePath(path).parts)


def _lines(stream: IO[bytes], name: str) -> Iterator[tuple[int, str]]:
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", newline=None)
    for number in itertools.count(1):
        line = text.readline(MAX_LINE_CHARS)
        if not line:
            return
        if len(line) == MAX_LINE_CHARS:
            raise InvalidData(f"{name}, line {number}: longer than {MAX_LINE_CHARS} characters")
        yield number, line


def _read_txt(stream: IO[bytes], name: str, column: str) -> Iterator[str]:
    paragraph: list[str] = []
    size = 0
    for _, line in _lines(stream, name):
        if not (empty := not line.strip()):
            paragraph.append(line)
            size += len(line)
        if paragraph and (empty or size >= MAX_PARAGRAPH):
            yield "".join(paragraph)
            paragraph, size = [], 0
    yield "".join(paragraph)


def _read_jsonl(stream: IO[bytes], name: str, column: str) -> Iterator[str]:
    for number, line in _lines(stream, name):
        if line.strip():
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as e:  # a ValueError alone is a number of thousands of digits
                raise InvalidData(f"{name}, line {number}: expected a JSON object or string ({e})") from e
            yield _text_of(row, f"{name}, line {number}", column)


def _read_json(stream: IO[bytes], name: str, column: str) -> Iterator[str]:
    for index, row in enumerate(_JsonArray(stream, name)):
        yield _text_of(row, f"{name}, element {index}", column)


class _JsonArray:
    """The elements of an array, each read when it is asked for: a gigabyte of them may come from a megabyte of .gz."""

    def __init__(self, stream: IO[bytes], name: str) -> None:
        self._text = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
        self._name = name
        self._buffer, self._at = "", 0

    def __iter__(self) -> Iterator[object]:
        self._take("[", f"{self._name}: expected a JSON array")
        count = 0
        if self._peek() != "]":
            yield self._element(f"{self._name}, element {count}")
            while self._peek() == ",":
                self._at += 1
                count += 1
                yield self._element(f"{self._name}, element {count}")
        self._take("]", f"{self._name}: expected ',' or ']' behind element {count}")
        if self._peek():
            raise InvalidData(f"{self._name}: expected nothing behind the array, found {self._found()}")

    def _element(self, where: str) -> object:
        if self._peek() not in ("{", '"'):  # any other is not even built: it may be large, too
            raise InvalidData(f"{where}: expected an object or a string, found {self._found()}")
        while True:
            try:
                row, self._at = _DECODER.raw_decode(self._buffer, self._at)
                return row
            except RecursionError as e:
                raise InvalidData(f"{where}: expected a JSON object or string ({e})") from e
            except json.JSONDecodeError as e:
                # Cut off by the end of the buffer, or wrong?
                is_cut = e.msg.startswith("Unterminated string") or e.pos > len(self._buffer) - _LONGEST_WORD
                size = len(self._buffer) - self._at
                if is_cut and size > MAX_LINE_CHARS:
                    raise InvalidData(f"{where}: longer than {MAX_LINE_CHARS} characters") from e
                if not is_cut or not self._read_on(max(size, _PIECE)):
                    raise InvalidData(f"{where}: expected a JSON object or string ({e.msg})") from e
            except ValueError as e:  # a number of thousands of digits
                raise InvalidData(f"{where}: expected a JSON object or string ({e})") from e

    def _take(self, character: str, expected: str) -> None:
        if self._peek() != character:
            raise InvalidData(f"{expected}, found {self._found()}")
        self._at += 1

    def _peek(self) -> str:
        """The next character that is no space, which it moves to; none at the end."""
        while True:
            while self._at < len(self._buffer):
                if (character := self._buffer[self._at]) not in " \t\r\n":
                    return character
                self._at += 1
            if not self._read_on(_PIECE):
                return ""

    def _read_on(self, characters: int) -> bool:
        """Whether there were more."""
        more = self._text.read(characters)
        self._buffer, self._at = self._buffer[self._at :] + more, 0
        return bool(more)

    def _found(self) -> str:
        return repr(self._buffer[self._at : self._at + 20]) if self._peek() else "the end"


def _text_of(row: object, where: str, column: str) -> str:
    if isinstance(row, str):
        return row
    if not isinstance(row, dict):
        raise InvalidData(f"{where}: expected an object or a string, found {type(row).__name__}")
    if column not in row:
        raise InvalidData(f"{where}: no field {column!r}; found {', '.join(map(repr, list(row)[:10])) or 'none'}")
    value = row[column]
    if not isinstance(value, str):
        raise InvalidData(f"{where}: expected a string in {column!r}, found {type(value).__name__}")
    return value


def _read_csv(stream: IO[bytes], name: str, column: str) -> Iterator[str]:
    csv.field_size_limit(MAX_LINE_CHARS)
    rows = csv.reader(io.TextIOWrapper(stream, encoding="utf-8-sig", newline=""))
    try:
        header = next(rows, [])
        if column not in header:
            found = ", ".join(map(repr, header[:10])) or "an empty file"
            raise InvalidData(f"{name}, line 1: no column {column!r} in the header; found {found}")
        index = header.index(column)
        for row in rows:
            if row and len(row) != len(header):
                raise InvalidData(f"{name}, line {rows.line_num}: expected {len(header)} fields, found {len(row)}")
            if row:
                yield row[index]
    except csv.Error as e:
        raise InvalidData(f"{name}, line {rows.line_num}: {e}") from e


def _read_parquet(stream: IO[bytes], name: str, column: str) -> Iterator[str]:
    # The footer lies at the end, so a compressed parquet file must be unpacked first.
    source = stream if stream.seekable() and not isinstance(stream, lzma.LZMAFile | gzip.GzipFile) else None
    try:
        table = pq.ParquetFile(source or io.BytesIO(_unpack_parquet(stream, name)))
        if column not in table.schema_arrow.names:
            raise InvalidData(
                f"{name}: no column {column!r}; found {', '.join(map(repr, table.schema_arrow.names[:10]))}"
            )
        kind = table.schema_arrow.field(column).type
        if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
            raise InvalidData(f"{name}: expected strings in {column!r}, found {kind}")
        for batch in table.iter_batches(batch_size=256, columns=[column]):
            yield from (text for text in batch.column(0).to_pylist() if text is not None)
    except pa.ArrowException as e:
        raise InvalidData(f"{name}: not a readable parquet file ({e})") from e


def _unpack_parquet(stream: IO[bytes], name: str) -> bytes:
    content = stream.read(MAX_PACKED_PARQUET + 1)
    if len(content) > MAX_PACKED_PARQUET:
        raise InvalidData(
            f"{name}: over {MAX_PACKED_PARQUET} bytes once unpacked; send it as .parquet, which is compressed in itself"
        )
    return content


READERS: dict[str, Reader] = {
    ".txt": _read_txt,
    ".jsonl": _read_jsonl,
    ".json": _read_json,
    ".csv": _read_csv,
    ".parquet": _read_parquet,
}
