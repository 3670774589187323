"""Limits on the pages of a Parquet column, read from the pages' headers.

Arrow allocates the size in a page's header, and copies a dictionary entry for every row that refers to it. A file of a
kilobyte may therefore need gigabytes of memory. The footer is parsed here too, because pyarrow's objects for it abort
the process if it is damaged. The field numbers are those of
https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from app.datasets.sources import Refusal, megabytes
from app.datasets.thrift import Compact, Wanted
from app.media.limits import MIB

MAX_FOOTER = 16 * MIB
MAX_PAGE = 256 * MIB  # unpacked
MAX_PAGES = 200_000  # of one column of a row group
TOGETHER = 64 * MIB  # of text read at once, if the pages allow it
MAX_ROWS = 256  # read at once from a dictionary
MAX_VALUES = 10_000_000  # of a row group's chunk of lists
HEAD = 8192  # bytes of a page's header read first; its statistics may be long
MAX_HEAD = 16 * MIB

DICTIONARY = 2  # a page type
# Row groups → columns → metadata → path, packed size, offsets of the first data page and of the dictionary.
FOOTER: Wanted = {4: {1: {3: {3: {0: {}}, 7: {}, 9: {}, 11: {}}}}}
# Type, unpacked size, packed size; number of values in the header of a data page, version 1 and 2.
PAGE: Wanted = {1: {}, 2: {}, 3: {}, 5: {1: {}}, 8: {1: {}}}


@dataclass(frozen=True)
class ColumnChunk:
    """The byte range of one column's pages in a row group."""

    start: int
    end: int


def find_chunks(file: BinaryIO, column: str) -> list[ColumnChunk]:
    """Returns the chunks of a top-level column, one for each row group. A column of lists has one too.

    Raises Refusal if the footer is too long.
    """
    size = file.seek(-8, 2)
    length = int.from_bytes(file.read(4), "little")
    if length > MAX_FOOTER:
        raise Refusal(f"its footer has {megabytes(length)}; the limit is {megabytes(MAX_FOOTER)}")
    file.seek(size - length)
    chunks = []
    for group in Compact(file.read(length)).struct(FOOTER)[4]:
        described = next(c[3] for c in group[1] if c[3][3][0] == column.encode())
        start = described[9]
        if dictionary := described.get(11):
            start = min(start, dictionary)
        chunks.append(ColumnChunk(start, start + described[7]))
    return chunks


def rows_at_once(file: BinaryIO, chunk: ColumnChunk, *, repeats: bool) -> int:
    """Returns how many rows of a chunk may be read at once without using much more memory than a page.

    repeats: True if rows are read as copies of dictionary entries.

    Raises Refusal for pages that are too large.
    """
    dictionary = value = 0
    for page in _read_pages(file, chunk):
        if page.values is None:
            dictionary = max(dictionary, page.unpacked)
        else:
            value = max(value, page.unpacked // max(1, page.values))
    # A dictionary's largest entry may be the value of every row.
    largest = max(value, dictionary if repeats else 0, 1)
    return max(1, min(MAX_ROWS if repeats else 65_536, TOGETHER // largest))


def check_values(file: BinaryIO, chunk: ColumnChunk) -> None:
    """Raises Refusal for a chunk of more values than are read at once, such as lists that are repeated in few bytes."""
    if sum(page.values or 0 for page in _read_pages(file, chunk)) > MAX_VALUES:
        raise Refusal(f"a column of lists has more than the limit of {MAX_VALUES:,} values in a row group")


@dataclass(frozen=True)
class _Page:
    """unpacked: bytes. values: in a data page; None for a dictionary."""

    unpacked: int
    values: int | None


def _read_pages(file: BinaryIO, chunk: ColumnChunk) -> Iterator[_Page]:
    at, count = chunk.start, 0
    while at < chunk.end:
        count += 1
        if count > MAX_PAGES:
            raise Refusal(f"a column has more than the limit of {MAX_PAGES:,} pages")
        fields, size = _read_header(file, at)
        unpacked, packed = fields.get(2, 0), fields.get(3, 0)
        if unpacked > MAX_PAGE:
            raise Refusal(f"a page has {megabytes(unpacked)}; the limit is {megabytes(MAX_PAGE)}. Write smaller pages")
        if packed < 0 or unpacked < 0:
            raise ValueError("a page has a negative size")
        header = fields.get(5) or fields.get(8) or {}
        yield _Page(unpacked, None if fields.get(1) == DICTIONARY else header.get(1, 1))
        at += size + packed


def _read_header(file: BinaryIO, at: int) -> tuple[dict[int, Any], int]:
    """Returns (the fields of a page's header by number, the header's length in bytes)."""
    length = HEAD
    while True:
        file.seek(at)
        data = file.read(length)
        reader = Compact(data)
        try:
            return reader.struct(PAGE), reader.at
        except IndexError:
            if len(data) < length or length >= MAX_HEAD:
                raise ValueError("a page's header is cut off") from None
            length *= 8
