"""The pages of a Parquet column, as their headers describe them: how much memory reading them takes.

Arrow allocates what a page's header says, and copies an entry of a dictionary for every row that names it, so
that a file of a kilobyte may ask for gigabytes. The footer is read here, too: pyarrow's objects for it abort the
process where it is damaged. The numbers of the fields are those of
https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift
"""

from dataclasses import dataclass
from typing import Any, BinaryIO

from app.datasets.sources import Refusal, megabytes
from app.datasets.thrift import Compact, Wanted
from app.media.limits import MIB

MAX_FOOTER = 16 * MIB
MAX_PAGE = 256 * MIB  # unpacked
MAX_PAGES = 200_000  # of one column of a row group
TOGETHER = 64 * MIB  # of text that is read at once, where pages allow it
MOST_ROWS = 256  # that are read at once
HEAD = 8192  # bytes of a page's header that are read at first: its statistics may be long
MAX_HEAD = 16 * MIB

DICTIONARY = 2  # a type of pages
# Row groups → columns → metadata → path, packed size, places of the first data page and of the dictionary.
FOOTER: Wanted = {4: {1: {3: {3: {0: {}}, 7: {}, 9: {}, 11: {}}}}}
# Type, unpacked size, packed size; number of values in the header of a data page, version 1 and 2.
PAGE: Wanted = {1: {}, 2: {}, 3: {}, 5: {1: {}}, 8: {1: {}}}


@dataclass(frozen=True)
class Chunk:
    """Where the pages of a column lie in a row group."""

    start: int
    end: int


def find_chunks(file: BinaryIO, column: str) -> list[Chunk]:
    """The chunks of a column of the topmost level, one a row group. Raises Refusal where the footer is too long."""
    size = file.seek(-8, 2)
    length = int.from_bytes(file.read(4), "little")
    if length > MAX_FOOTER:
        raise Refusal(f"a footer of {megabytes(length)}, where {megabytes(MAX_FOOTER)} are the limit")
    file.seek(size - length)
    chunks = []
    for group in Compact(file.read(length)).struct(FOOTER)[4]:
        described = next(c[3] for c in group[1] if c[3][3] == [column.encode()])
        start = described[9]
        if dictionary := described.get(11):
            start = min(start, dictionary)
        chunks.append(Chunk(start, start + described[7]))
    return chunks


def rows_at_once(file: BinaryIO, chunk: Chunk, *, repeats: bool) -> int:
    """How many rows of a chunk may be read at once without taking far more memory than a page.

    repeats: whether rows are read as copies of the dictionary's entries. Raises Refusal for pages that are too large.
    """
    dictionary = value = count = 0
    at = chunk.start
    while at < chunk.end:
        count += 1
        if count > MAX_PAGES:
            raise Refusal(f"more than {MAX_PAGES:,} pages of one column, which is the limit")
        fields, size = _read_header(file, at)
        unpacked, packed = fields.get(2, 0), fields.get(3, 0)
        if unpacked > MAX_PAGE:
            raise Refusal(
                f"a page of {megabytes(unpacked)}, where {megabytes(MAX_PAGE)} are the limit; write smaller pages"
            )
        if packed < 0 or unpacked < 0:
            raise ValueError("a page has a negative size")
        if fields.get(1) == DICTIONARY:
            dictionary = max(dictionary, unpacked)
        else:
            header = fields.get(5) or fields.get(8) or {}
            value = max(value, unpacked // max(1, header.get(1, 1)))
        at += size + packed
    # A dictionary's largest entry may be the value of every row.
    largest = max(value, dictionary if repeats else 0, 1)
    return max(1, min(MOST_ROWS if repeats else 65_536, TOGETHER // largest))


def _read_header(file: BinaryIO, at: int) -> tuple[dict[int, Any], int]:
    """(the fields of a page's header by their numbers, its bytes)"""
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
