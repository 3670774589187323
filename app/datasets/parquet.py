"""Reader of .parquet, by row groups. The documents are a column of strings, in any of Arrow's string types."""

import io
from collections.abc import Iterator, Sequence
from typing import IO, BinaryIO, cast

import pyarrow as pa
import pyarrow.parquet as pq

from app.datasets.columns import MAX_COLUMNS, VALUES, refuse_columns
from app.datasets.parquet_pages import find_chunks, rows_at_once
from app.datasets.reports import Layout
from app.datasets.sources import Document, TextSource, reading, shorten
from app.datasets.text import MAX_ROW, too_long
from app.errors import InvalidData, TooLarge
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


def read_parquet(stream: IO[bytes], source: TextSource) -> Iterator[Document]:
    source.report.add_layout(Layout.ROWS)
    # The footer is at the end, so a compressed file is unpacked first.
    file = cast(BinaryIO, stream) if stream.seekable() else io.BytesIO(unpack_parquet(stream, source))
    with reading(source.name, DAMAGED):
        table = pq.ParquetFile(
            file, buffer_size=BUFFER, thrift_string_size_limit=MAX_NAME, page_checksum_verification=True
        )
        if source.column not in table.schema_arrow.names:
            raise _refuse(file, table, source)
        repeats = not pa.types.is_dictionary(_find_type(table, source))
        chunks = find_chunks(file, source.column)
    row = 0
    for group, chunk in enumerate(chunks):
        place = f"{source.name}, row group {group}"
        with reading(place, DAMAGED):
            rows = rows_at_once(file, chunk, repeats=repeats)
            batches = table.iter_batches(batch_size=rows, row_groups=[group], columns=[source.column])
        for value in _read_values(batches, place):
            yield Document(_text(value, f"{source.name}, row {row}", source))
            row += 1


def unpack_parquet(stream: IO[bytes], source: TextSource) -> bytes:
    content = io.BufferedReader(cast(io.RawIOBase, stream)).read(MAX_UNPACKED + 1)
    if len(content) > MAX_UNPACKED:
        raise InvalidData(
            f"{source.name}: over {MAX_UNPACKED} bytes once unpacked; send it as .parquet, which is itself compressed"
        )
    return content


def _find_type(table: pq.ParquetFile, source: TextSource) -> pa.DataType:
    """Returns the type of the source's column. Raises InvalidData if it does not hold strings."""
    name, names = source.column, table.schema_arrow.names
    if (count := names.count(name)) > 1:
        raise InvalidData(f"{source.name}: {count} columns are named {name!r}; rename all but one")
    kind = table.schema_arrow.field(names.index(name)).type
    if not holds_strings(kind):
        raise InvalidData(f"{source.name}: expected strings in {name!r}, found {shorten(str(kind), 100)}")
    return kind


def holds_strings(kind: pa.DataType) -> bool:
    values = kind.value_type if pa.types.is_dictionary(kind) else kind
    return any(is_kind(values) for is_kind in KINDS)


def _refuse(file: BinaryIO, table: pq.ParquetFile, source: TextSource) -> InvalidData:
    """Returns the error for a file without the source's column. It shows values of strings, else types."""
    columns: dict[str, Sequence[object] | str] = {}
    for field in table.schema_arrow:
        is_shown = holds_strings(field.type) and len(columns) < MAX_COLUMNS
        columns[field.name] = _first_values(file, table, field, source) if is_shown else shorten(str(field.type), 50)
    return refuse_columns(f"{source.name}: no column {source.column!r}", columns)


def _first_values(file: BinaryIO, table: pq.ParquetFile, field: pa.Field, source: TextSource) -> Sequence[object]:
    if not table.num_row_groups:
        return []
    try:
        with reading(source.name, DAMAGED):
            chunk = find_chunks(file, field.name)[0]
            rows = rows_at_once(file, chunk, repeats=not pa.types.is_dictionary(field.type))
            batches = table.iter_batches(batch_size=min(rows, VALUES), row_groups=[0], columns=[field.name])
            return [value.decode(errors="replace") for value in _to_bytes(next(batches).column(0)) if value]
    except (InvalidData, TooLarge):  # the column is not the one to read, so its faults are of no interest
        return []


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
