"""Reader of .parquet, by row groups. The documents are a column of strings, in any of Arrow's string types."""

import io
from collections.abc import Iterator
from typing import IO, BinaryIO, cast

import pyarrow as pa
import pyarrow.parquet as pq

from app.datasets.parquet_pages import find_chunks, rows_at_once
from app.datasets.sources import TextSource, reading, shorten
from app.datasets.text import MAX_ROW, too_long
from app.errors import InvalidData
from app.media.limits import MIB

MAX_UNPACKED = 64 * MIB  # of a compressed .parquet, which is held in memory
BUFFER = MIB  # bytes of a column read at once
MAX_NAME = 16 * MIB  # of one string in the file's footer
DAMAGED = "not a readable parquet file"
# Old Spark and Impala write strings as binary.
KINDS = (
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_string_view,
    pa.types.is_binary,
    pa.types.is_large_binary,
    pa.types.is_binary_view,
)


def read_parquet(stream: IO[bytes], source: TextSource) -> Iterator[str]:
    # The footer is at the end, so a compressed file is unpacked first.
    file = cast(BinaryIO, stream) if stream.seekable() else io.BytesIO(_unpack(stream, source))
    with reading(source.name, DAMAGED):
        table = pq.ParquetFile(
            file, buffer_size=BUFFER, thrift_string_size_limit=MAX_NAME, page_checksum_verification=True
        )
        repeats = not pa.types.is_dictionary(_find_type(table, source))
        chunks = find_chunks(file, source.column)
    row = 0
    for group, chunk in enumerate(chunks):
        place = f"{source.name}, row group {group}"
        with reading(place, DAMAGED):
            rows = rows_at_once(file, chunk, repeats=repeats)
            batches = table.iter_batches(batch_size=rows, row_groups=[group], columns=[source.column])
        for value in _read_values(batches, place):
            yield _text(value, f"{source.name}, row {row}", source)
            row += 1


def _unpack(stream: IO[bytes], source: TextSource) -> bytes:
    content = io.BufferedReader(cast(io.RawIOBase, stream)).read(MAX_UNPACKED + 1)
    if len(content) > MAX_UNPACKED:
        raise InvalidData(
            f"{source.name}: over {MAX_UNPACKED} bytes once unpacked; send it as .parquet, which is itself compressed"
        )
    return content


def _find_type(table: pq.ParquetFile, source: TextSource) -> pa.DataType:
    """Returns the type of the source's column. Raises InvalidData if it is missing or does not hold strings."""
    name, names = source.column, table.schema_arrow.names
    if name not in names:
        found = ", ".join(repr(shorten(other, 50)) for other in names[:10])
        raise InvalidData(f"{source.name}: no column {name!r}; found {found or 'none'}")
    if (count := names.count(name)) > 1:
        raise InvalidData(f"{source.name}: {count} columns are named {name!r}; rename all but one")
    kind = table.schema_arrow.field(names.index(name)).type
    values = kind.value_type if pa.types.is_dictionary(kind) else kind
    if not any(is_kind(values) for is_kind in KINDS):
        raise InvalidData(f"{source.name}: expected strings in {name!r}, found {shorten(str(kind), 100)}")
    return kind


def _read_values(batches: Iterator[pa.RecordBatch], place: str) -> Iterator[bytes | None]:
    while True:
        with reading(place, DAMAGED):
            if (batch := next(batches, None)) is None:
                return
            values = _to_bytes(batch.column(0))
        yield from values


def _to_bytes(column: pa.Array) -> list[bytes | None]:
    if isinstance(column, pa.DictionaryArray):
        texts = column.dictionary.cast(pa.large_binary()).to_pylist()
        return [None if index is None else texts[index] for index in column.indices.to_pylist()]
    values: list[bytes | None] = column.cast(pa.large_binary()).to_pylist()
    return values


def _text(value: bytes | None, where: str, source: TextSource) -> str:
    """Returns the text of a row, or "" for a skipped one."""
    if value is not None and len(value) > 4 * MAX_ROW:  # a character has at most 4 bytes
        raise too_long(where)
    source.budget.spend(len(value or b""))
    try:
        text = None if value is None else value.decode()
    except UnicodeDecodeError as e:
        raise InvalidData(f"{where}: not UTF-8 text ({e.reason})") from e
    if text is not None and len(text) > MAX_ROW:
        raise too_long(where)
    return source.row(text, where)
