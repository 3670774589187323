"""Tables of several columns, read as rows with their places: .csv, .tsv, .jsonl, .json and .parquet.

FASTA, FASTQ and SMILES files are tables too: the fields of a record's header are its columns, and `text` its sequence.
A row that cannot be read has a fault, which names what is wrong. Damage that hides where the next row begins, such as a
quote that is not closed, raises InvalidData. Each file may be compressed as .gz, .xz or .zst.
"""

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from typing import IO, Any, BinaryIO, NamedTuple, cast

import pyarrow.parquet as pq

from app.datasets.columns import VALUES, refuse_columns, refuse_repeated
from app.datasets.compression import COMPRESSIONS, inner_suffix
from app.datasets.csv_rows import CsvLines, read_record, refuse_header
from app.datasets.documents import FREE_BYTES, MAX_RATIO, READERS, Reader
from app.datasets.headers import parse_header
from app.datasets.json_rows import JsonArray, check_elements
from app.datasets.parquet import BUFFER, DAMAGED, MAX_NAME, unpack_parquet
from app.datasets.parquet_pages import check_values, find_chunks, rows_at_once
from app.datasets.parquet_schema import check_schema, is_list, plain_columns
from app.datasets.sequences import read_fasta, read_fastq, read_smiles
from app.datasets.sources import Budget, TextSource, UnreadableFile, explain, reading
from app.datasets.text import MAX_ROW, open_text, read_lines

# The field of the request that names a column → the column.
Columns = Mapping[str, str]
_LOOK = 100_000  # objects, of which at least one has to have a wanted field


class Wanted(NamedTuple):
    """The columns that a reader takes of a table. plain: optional ones of nested values count as missing."""

    required: Columns
    optional: tuple[str, ...]
    plain: bool = False

    def present(self, names: Sequence[str]) -> list[str]:
        """Returns the wanted ones of a table's columns, each once; all if none is wanted."""
        if not self.required and not self.optional:
            return list(names)
        return list(dict.fromkeys([*self.required.values(), *(name for name in self.optional if name in names)]))


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row of a table.

    values: of the wanted columns that the row has, by the names of the columns. fault: why it cannot be read.
    """

    place: str
    values: Mapping[str, Any] = field(default_factory=dict)
    fault: str = ""


def read_rows(path: Path, filename: str, columns: Columns) -> Iterator[TableRow]:
    """Yields the rows of a table. filename: its suffix is the format.

    Raises InvalidData for a file of another format, one without a wanted column, and one that is damaged; TooLarge for
    one that unpacks to far more than its own size.
    """
    with path.open("rb") as file:
        yield from read_open_rows(file, path.stat().st_size, filename, columns)


def read_open_rows(
    file: BinaryIO, size: int, filename: str, columns: Columns, optional: Sequence[str] = (), *, plain: bool = False
) -> Iterator[TableRow]:
    """As `read_rows`, of an open file of so many bytes. Without any column, rows have the values of all.

    optional: columns that are read if the table has them; with `plain`, only if they hold strings or numbers.
    """
    wanted = Wanted(columns, tuple(optional), plain)
    with reading(filename, "the data is broken or cut off"):
        source = TextSource(filename, "", budget=Budget(filename, size * MAX_RATIO + FREE_BYTES))
        suffix = PurePath(filename).suffix.lower()
        if opener := COMPRESSIONS.get(suffix):
            with opener(file) as stream:
                yield from _find_reader(inner_suffix(filename), filename)(stream, source, wanted)
        else:
            yield from _find_reader(suffix, filename)(file, source, wanted)


def _find_reader(suffix: str, filename: str) -> "TableReader":
    if suffix not in _READERS:
        known = ", ".join(_READERS)
        raise UnreadableFile(f"{filename}: a table with labels is one of {known}, each also as .gz, .xz or .zst")
    return _READERS[suffix]


def is_table(filename: str) -> bool:
    """Returns whether the suffix is that of a table."""
    suffix = PurePath(filename).suffix.lower()
    return (inner_suffix(filename) if suffix in COMPRESSIONS else suffix) in _READERS


def _read_csv(stream: IO[bytes], source: TextSource, wanted: Wanted, delimiter: str = ",") -> Iterator[TableRow]:
    csv.field_size_limit(MAX_ROW + 1)
    lines = CsvLines(open_text(stream, source, newline=""), source.name, delimiter)
    records = csv.reader(lines, strict=True, delimiter=delimiter)
    header = read_record(records, lines) or []
    for option, name in wanted.required.items():
        if name not in header:
            raise refuse_header(header, records, replace(source, column=name), option)
        if (count := header.count(name)) > 1:
            raise refuse_repeated(f"{source.name}, line 1", name, count)
    indices = {name: header.index(name) for name in wanted.present(header)}
    while (record := read_record(records, lines)) is not None:
        source.budget.spend(0, rows=1)
        if record and len(record) != len(header):
            yield TableRow(lines.place(), fault=f"expected {len(header)} fields, found {len(record)}")
        elif record:
            yield TableRow(lines.place(), {name: record[index] for name, index in indices.items()})


def _read_tsv(stream: IO[bytes], source: TextSource, wanted: Wanted) -> Iterator[TableRow]:
    return _read_csv(stream, source, wanted, "\t")


def _read_jsonl(stream: IO[bytes], source: TextSource, wanted: Wanted) -> Iterator[TableRow]:
    return _object_rows(_parse_lines(stream, source), source.name, wanted)


def _parse_lines(stream: IO[bytes], source: TextSource) -> Iterator["tuple[str, object] | TableRow"]:
    """Yields the place and the value of each line, or a row with a fault."""
    for number, line in read_lines(stream, source):
        source.budget.spend(0, rows=1)
        if not line.strip():
            continue
        place = f"{source.name}, line {number}"
        check_elements(line, 0, place)
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as e:  # ValueError: also a number of thousands of digits
            reason = e.msg if isinstance(e, json.JSONDecodeError) else explain(e)
            yield TableRow(place, fault=f"expected a JSON object ({reason})")
        else:
            yield place, value


def _read_json(stream: IO[bytes], source: TextSource, wanted: Wanted) -> Iterator[TableRow]:
    return _object_rows(_parse_elements(stream, source), source.name, wanted)


def _parse_elements(stream: IO[bytes], source: TextSource) -> Iterator[tuple[str, object]]:
    for index, value in enumerate(JsonArray(stream, source)):
        source.budget.spend(0, rows=1)
        yield f"{source.name}, element {index}", value


def _object_rows(
    parsed: Iterable["tuple[str, object] | TableRow"], filename: str, wanted: Wanted
) -> Iterator[TableRow]:
    """Yields a row for each object. An object may lack fields that others have.

    Raises InvalidData for a wanted field that no object has.
    """
    fields = _WantedFields(filename, wanted.required)
    for each in parsed:
        if isinstance(each, TableRow):
            yield each
            continue
        place, value = each
        if isinstance(value, dict):
            fields.add(value)
            names = [name for name, held in value.items() if not (wanted.plain and isinstance(held, list | dict))]
            yield TableRow(place, {name: value[name] for name in wanted.present(names) if name in value})
        else:
            yield TableRow(place, fault="expected a JSON object")
    fields.check()


class _WantedFields:
    """The wanted fields that no object has had so far, and values of the first objects for the error."""

    def __init__(self, filename: str, columns: Columns) -> None:
        self._filename, self._unseen = filename, dict(columns)
        self._count = 0
        self._values: dict[str, list[object]] = {}

    def add(self, value: Mapping[str, object]) -> None:
        """Raises InvalidData if this is object `_LOOK`, and a wanted field is still unseen."""
        if not self._unseen:
            return
        self._count += 1
        self._unseen = {option: name for option, name in self._unseen.items() if name not in value}
        if self._count <= VALUES:
            for name, each in value.items():
                self._values.setdefault(name, []).append(each)
        if self._count == _LOOK:
            self.check()

    def check(self) -> None:
        """Raises InvalidData if there are objects, and none has a wanted field."""
        for option, name in self._unseen.items() if self._count else ():
            expected = f"{self._filename}: no field {name!r} in the first {self._count:,} records"
            raise refuse_columns(expected, self._values, option)


def _read_records(read: Reader) -> "TableReader":
    def read_rows_of_records(stream: IO[bytes], source: TextSource, wanted: Wanted) -> Iterator[TableRow]:
        parsed = (
            (f"{source.name}, record {number}", {**parse_header(record.name), "text": record.text})
            for number, record in enumerate(read(stream, source), 1)
        )
        yield from _object_rows(parsed, source.name, wanted)

    return read_rows_of_records


def _read_parquet(stream: IO[bytes], source: TextSource, wanted: Wanted) -> Iterator[TableRow]:
    file = cast(BinaryIO, stream) if stream.seekable() else io.BytesIO(unpack_parquet(stream, source))
    with reading(source.name, DAMAGED):
        table = pq.ParquetFile(
            file, buffer_size=BUFFER, thrift_string_size_limit=MAX_NAME, page_checksum_verification=True
        )
        schema = table.schema_arrow
        names = wanted.present(plain_columns(schema) if wanted.plain else schema.names)
        named = {**wanted.required, **{name: name for name in wanted.optional if name in names}}
        check_schema(schema, source.name, named)
        if not names:  # none of the optional columns
            return
        chunks = [find_chunks(file, name) for name in names]
        lists = [found for found, name in zip(chunks, names, strict=True) if is_list(schema.field(name).type)]
    number = 0
    for group in range(table.num_row_groups):
        place = f"{source.name}, row group {group}"
        with reading(place, DAMAGED):
            for found in lists:
                check_values(file, found[group])
            rows = min(rows_at_once(file, each[group], repeats=True) for each in chunks)
            batches = table.iter_batches(batch_size=rows, row_groups=[group], columns=names)
        while True:
            with reading(place, DAMAGED):
                if (batch := next(batches, None)) is None:
                    break
                values = {name: batch.column(batch.schema.get_field_index(name)).to_pylist() for name in names}
            source.budget.spend(batch.nbytes, rows=batch.num_rows)
            for index in range(batch.num_rows):
                yield TableRow(f"{source.name}, row {number}", {name: _decode(values[name][index]) for name in names})
                number += 1


def _decode(value: Any) -> Any:
    if isinstance(value, list):
        return [_decode(each) for each in value]
    return value.decode(errors="replace") if isinstance(value, bytes) else value


TableReader = Callable[[IO[bytes], TextSource, Wanted], Iterator[TableRow]]

_READERS: dict[str, TableReader] = {
    ".csv": _read_csv,
    ".tsv": _read_tsv,
    ".jsonl": _read_jsonl,
    ".ndjson": _read_jsonl,
    ".json": _read_json,
    ".parquet": _read_parquet,
    **{
        suffix: _read_records(reader)
        for suffix, reader in READERS.items()
        if reader in (read_fasta, read_fastq, read_smiles)
    },
}
