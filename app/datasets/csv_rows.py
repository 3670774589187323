"""Reader of .csv and .tsv: the documents are one column of a table with a header and double quotes (RFC 4180)."""

import csv
import io
import re
from collections.abc import Iterator
from itertools import islice
from typing import IO

from app.datasets.columns import VALUES, refuse_columns
from app.datasets.reports import Layout
from app.datasets.sources import Document, TextSource, UnreadableFile
from app.datasets.text import MAX_ROW, open_text, too_long
from app.errors import InvalidData

_FIELDS = {
    ",": re.compile(r'(?:"(?:[^"]++|"")*+"|[^,"\r\n][^,\r\n]*+|)(?:,|\r\n|\r|\n|\Z)'),
    "\t": re.compile(r'(?:"(?:[^"]++|"")*+"|[^\t"\r\n][^\t\r\n]*+|)(?:\t|\r\n|\r|\n|\Z)'),
}
_NAMES = {",": "comma", "\t": "tab"}


def read_csv(stream: IO[bytes], source: TextSource) -> Iterator[Document]:
    yield from _read_table(stream, source, ",")


def read_tsv(stream: IO[bytes], source: TextSource) -> Iterator[Document]:
    yield from _read_table(stream, source, "\t")


def _read_table(stream: IO[bytes], source: TextSource, delimiter: str) -> Iterator[Document]:
    source.report.add_layout(Layout.ROWS)
    csv.field_size_limit(MAX_ROW + 1)
    lines = CsvLines(open_text(stream, source, newline=""), source.name, delimiter)
    rows = csv.reader(lines, strict=True, delimiter=delimiter)
    header = read_record(rows, lines) or []
    if source.column not in header:
        raise refuse_header(header, rows, source)
    index = _find_column(header, source)
    while (row := read_record(rows, lines)) is not None:
        if not row:
            source.row("", lines.place())
        elif len(row) != len(header):
            raise InvalidData(f"{lines.place()}: expected {len(header)} fields, found {len(row)}")
        else:
            yield Document(source.row(row[index], lines.place()))


class CsvLines:
    """The lines of a table, and the lines of the current record for error messages."""

    def __init__(self, text: io.TextIOWrapper, name: str, delimiter: str) -> None:
        self._text, self._name, self._delimiter = text, name, delimiter
        self._number = 0  # lines read
        self._record: list[str] = []
        self._size = 0  # characters of the record

    def __iter__(self) -> "CsvLines":
        return self

    def __next__(self) -> str:
        line = self._text.readline(MAX_ROW + 1)
        if not line:
            raise StopIteration
        self._number += 1
        self._record.append(line)
        self._size += len(line)
        if self._size > MAX_ROW:
            raise csv.Error("too long")
        return line

    def start_record(self) -> None:
        self._record, self._size = [], 0

    def place(self, line: int = 0) -> str:
        """Names the place of the current record's line `line`, counted from 0."""
        return f"{self._name}, line {self._number - len(self._record) + 1 + line}"

    def explain(self, error: csv.Error) -> InvalidData:
        """Converts an error of `csv`. Most of them are caused by a quote that is not closed."""
        record, at = "".join(self._record), 0
        while at < len(record) and (field := _FIELDS[self._delimiter].match(record, at)) and field.end() > at:
            at = field.end()
        line = len(re.findall(r"\r\n|\r|\n", record[:at]))
        if not record.startswith('"', at):
            return too_long(self.place()) if self._size > MAX_ROW else InvalidData(f"{self.place(line)}: {error}")
        if self._size > MAX_ROW:
            found = f"and the row is longer than the limit of {MAX_ROW:,} characters"
        elif "end of data" in str(error):
            found = "up to the end of the file"
        else:
            name = _NAMES[self._delimiter]
            found = f'and no {name} follows the next quote, in line {self._number}; write a quote in a field as ""'
        return InvalidData(f"{self.place(line)}: the quote that opens in this line is not closed, {found}")


def read_record(rows: Iterator[list[str]], lines: CsvLines) -> list[str] | None:
    """Reads the next record. Returns None at the end."""
    lines.start_record()
    try:
        return next(rows, None)
    except csv.Error as e:
        raise lines.explain(e) from e


def refuse_header(
    header: list[str], rows: Iterator[list[str]], source: TextSource, option: str = "text_column"
) -> UnreadableFile:
    """Returns the error for a table without the source's column."""
    expected = f"{source.name}, line 1: no column {source.column!r} in the header"
    if not header:
        return refuse_columns(f"{expected} of an empty file", {}, option)
    try:
        first = [row for row in islice(rows, VALUES) if len(row) == len(header)]
    except (csv.Error, InvalidData):  # broken rows are of no interest here
        first = []
    columns = {name: [row[index] for row in first] for index, name in enumerate(header)}
    return refuse_columns(expected, columns, option)


def _find_column(header: list[str], source: TextSource) -> int:
    """Returns the index of the first column with the source's column name."""
    column = source.column
    if (count := header.count(column)) > 1:
        place = header.index(column) + 1
        source.report.note(
            f"{source.name}: {count} columns are named {column!r}; only the first, column {place}, is read"
        )
    return header.index(column)
