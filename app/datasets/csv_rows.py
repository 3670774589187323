"""Documents of .csv: a column of a table with a header row, commas, and double quotes (RFC 4180)."""

import csv
import io
import re
from collections.abc import Iterator
from typing import IO

from app.datasets.sources import Source, shorten
from app.datasets.text import MAX_ROW, open_text, too_long
from app.errors import InvalidData

_FIELD = re.compile(r'(?:"(?:[^"]++|"")*+"|[^,"\r\n][^,\r\n]*+|)(?:,|\r\n|\r|\n|\Z)')


def read_csv(stream: IO[bytes], source: Source) -> Iterator[str]:
    csv.field_size_limit(MAX_ROW + 1)
    lines = _Lines(open_text(stream, source, newline=""), source.name)
    rows = csv.reader(lines, strict=True)
    header = _next(rows, lines) or []
    index = _index(header, source)
    while (row := _next(rows, lines)) is not None:
        if not row:
            source.row("", lines.place())
        elif len(row) != len(header):
            raise InvalidData(f"{lines.place()}: expected {len(header)} fields, found {len(row)}")
        else:
            yield source.row(row[index], lines.place())


class _Lines:
    """The lines of a table, and where the record that is being read begins."""

    def __init__(self, text: io.TextIOWrapper, name: str) -> None:
        self._text, self._name = text, name
        self._number = 0  # lines read
        self._record: list[str] = []
        self._size = 0  # characters of the record

    def __iter__(self) -> "_Lines":
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

    def begin(self) -> None:
        """Begins the next record."""
        self._record, self._size = [], 0

    def place(self, line: int = 0) -> str:
        """The place of the record, or of one of its lines, from 0 on."""
        return f"{self._name}, line {self._number - len(self._record) + 1 + line}"

    def refusal(self, error: csv.Error) -> InvalidData:
        """The error for a record that cannot be read: mostly for a quote that is not closed."""
        record, at = "".join(self._record), 0
        while at < len(record) and (field := _FIELD.match(record, at)) and field.end() > at:
            at = field.end()
        line = len(re.findall(r"\r\n|\r|\n", record[:at]))
        if not record.startswith('"', at):
            return too_long(self.place()) if self._size > MAX_ROW else InvalidData(f"{self.place(line)}: {error}")
        if self._size > MAX_ROW:
            found = f"and the row is longer than {MAX_ROW:,} characters, which is the limit"
        elif "end of data" in str(error):
            found = "up to the end of the file"
        else:
            found = f'and behind the next quote, in line {self._number}, a comma is expected; a quote in a field is ""'
        return InvalidData(f"{self.place(line)}: the quote that opens in this line is not closed, {found}")


def _next(rows: Iterator[list[str]], lines: _Lines) -> list[str] | None:
    """The next record; None at the end."""
    lines.begin()
    try:
        return next(rows, None)
    except csv.Error as e:
        raise lines.refusal(e) from e


def _index(header: list[str], source: Source) -> int:
    """Which column is read: the first one of the name."""
    column = source.column
    if column not in header:
        found = ", ".join(repr(shorten(name, 50)) for name in header[:10]) or "an empty file"
        raise InvalidData(f"{source.name}, line 1: no column {column!r} in the header; found {found}")
    if (count := header.count(column)) > 1:
        place = header.index(column) + 1
        source.report.note(f"{source.name}: {count} columns are named {column!r}; column {place}, the first, is read")
    return header.index(column)
