"""Readers of .jsonl, an object or a string per line, and .json, an array of them."""

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from json.decoder import scanstring  # type: ignore[attr-defined]  # the stubs lack it
from typing import IO

from app.datasets.columns import VALUES, refuse_columns
from app.datasets.reports import Layout
from app.datasets.sources import Document, TextSource, explain
from app.datasets.text import MAX_ROW, open_text, read_lines, too_long
from app.errors import InvalidData

MAX_ELEMENTS = 250_000  # commas and brackets of a row; this many lists take 0.1 s and 20 MB
PIECE = 64 * 1024  # characters of an array read at once
_LONGEST_WORD = 16  # more than the characters of "-Infinity", the longest JSON token besides strings and numbers
_SPACES = re.compile(r"[ \t\r\n]*+")
_DECODER = json.JSONDecoder()
_NAMES = {dict: "an object", list: "a list", str: "a string", bool: "true or false", type(None): "null"}


def read_jsonl(stream: IO[bytes], source: TextSource) -> Iterator[Document]:
    yield from _read_rows(_JsonLines(stream, source), source)


def read_json(stream: IO[bytes], source: TextSource) -> Iterator[Document]:
    rows = ((f"{source.name}, element {index}", row) for index, row in enumerate(JsonArray(stream, source)))
    yield from _read_rows(rows, source)


def _read_rows(rows: Iterator[tuple[str, object]], source: TextSource) -> Iterator[Document]:
    """rows: (place, value)."""
    source.report.add_layout(Layout.ROWS)
    for where, row in rows:
        if isinstance(row, dict) and source.column not in row:
            raise _refuse(row, rows, f"{where}: no field {source.column!r}")
        yield Document(_text(row, where, source))


def _refuse(row: dict[str, object], rows: Iterator[tuple[str, object]], expected: str) -> InvalidData:
    """Returns the error for a row without the source's column. It shows values of this row and those after it."""
    shown = [row]
    with suppress(InvalidData):  # broken rows are of no interest here
        shown += [other for _, other in islice(rows, VALUES - 1) if isinstance(other, dict)]
    return refuse_columns(expected, {name: [other[name] for other in shown if name in other] for name in row})


class _JsonLines:
    """(place, value) of each line that is not empty."""

    def __init__(self, stream: IO[bytes], source: TextSource) -> None:
        self._lines, self._source = read_lines(stream, source), source

    def __iter__(self) -> "_JsonLines":
        return self

    def __next__(self) -> tuple[str, object]:
        for number, line in self._lines:
            where = f"{self._source.name}, line {number}"
            if not line.strip():
                self._source.row("", where)
                continue
            check_elements(line, 0, where)
            try:
                return where, json.loads(line)
            except (ValueError, RecursionError) as e:  # ValueError: also a number of thousands of digits
                raise _invalid_row(where, e) from e
        raise StopIteration


def check_elements(text: str, start: int, where: str) -> None:
    """Raises InvalidData if the value at `start` has more than MAX_ELEMENTS elements.

    Each element takes a few bytes of text but becomes a Python object.
    """
    # An upper bound first, which counts marks in strings and after the value too. It almost always suffices.
    if len(text) - start <= MAX_ELEMENTS or sum(text.count(mark, start) for mark in "[{,") <= MAX_ELEMENTS:
        return
    count, depth, at = 0, 0, start
    while at < len(text):
        character = text[at]
        at += 1
        if character == '"':
            try:
                at = scanstring(text, at, False)[1]
            except ValueError:
                return  # the end of the string is not read yet, or missing
        elif character in "[{,":
            count += 1
            if character != ",":
                depth += 1
            if count > MAX_ELEMENTS:
                raise InvalidData(f"{where}: the row has more than the limit of {MAX_ELEMENTS:,} elements")
        elif character in "]}":
            depth -= 1
        if depth == 0:
            return


def _invalid_row(where: str, error: Exception) -> InvalidData:
    reason = error.msg if isinstance(error, json.JSONDecodeError) else explain(error)
    return InvalidData(f"{where}: expected a JSON object or string ({reason})")


class JsonArray:
    """The elements of an array, read one by one, because a megabyte of .gz may hold a gigabyte of them."""

    def __init__(self, stream: IO[bytes], source: TextSource) -> None:
        self._text = open_text(stream, source, newline="")
        self._name = source.name
        self._buffer, self._at = "", 0

    def __iter__(self) -> Iterator[object]:
        self._expect("[", f"{self._name}: expected a JSON array")
        count = 0
        if self._peek() != "]":
            yield self._read_element(f"{self._name}, element {count}")
            while self._peek() == ",":
                self._at += 1
                count += 1
                yield self._read_element(f"{self._name}, element {count}")
        self._expect("]", f"{self._name}: expected ',' or ']' after element {count}")
        if self._peek():
            raise InvalidData(f"{self._name}: expected nothing after the array, found {self._found()}")

    def _read_element(self, where: str) -> object:
        if self._peek() not in ("{", '"', "n"):  # checked before it is built, because it may be large
            raise InvalidData(f"{where}: expected an object or a string, found {self._found()}")
        while True:
            check_elements(self._buffer, self._at, where)
            try:
                row, end = _DECODER.raw_decode(self._buffer, self._at)
            except json.JSONDecodeError as e:
                # The element may continue after the end of the buffer, or be invalid.
                is_cut = e.msg.startswith("Unterminated string") or e.pos > len(self._buffer) - _LONGEST_WORD
                size = len(self._buffer) - self._at
                if is_cut and size > MAX_ROW:
                    raise too_long(where) from e
                if not is_cut or not self._read_on(max(size, PIECE)):
                    raise _invalid_row(where, e) from e
            except (ValueError, RecursionError) as e:  # ValueError: also a number of thousands of digits
                raise _invalid_row(where, e) from e
            else:
                if end - self._at > MAX_ROW:
                    raise too_long(where)
                self._at = end
                return row

    def _expect(self, character: str, expected: str) -> None:
        """Moves past `character`. Raises InvalidData for any other."""
        if self._peek() != character:
            raise InvalidData(f"{expected}, found {self._found()}")
        self._at += 1

    def _peek(self) -> str:
        """Moves to the next character that is not a space and returns it. Returns "" at the end."""
        while True:
            self._at = _SPACES.match(self._buffer, self._at).end()  # type: ignore[union-attr]  # it always matches
            if self._at < len(self._buffer):
                return self._buffer[self._at]
            if not self._read_on(PIECE):
                return ""

    def _read_on(self, characters: int) -> bool:
        """Reads more of the text. Returns False at its end."""
        more = self._text.read(characters)
        self._buffer, self._at = self._buffer[self._at :] + more, 0
        return bool(more)

    def _found(self) -> str:
        return repr(self._buffer[self._at : self._at + 20]) if self._peek() else "the end"


def _text(row: object, where: str, source: TextSource) -> str:
    """Returns the text of a row, or "" for a skipped one."""
    column = source.column
    value = row[column] if isinstance(row, dict) else row
    if value is None or isinstance(value, str):
        return source.row(value, where)
    if isinstance(row, dict):
        raise InvalidData(f"{where}: expected a string in {column!r}, found {_name_type(value)}")
    raise InvalidData(f"{where}: expected an object or a string, found {_name_type(value)}")


def _name_type(value: object) -> str:
    return _NAMES.get(type(value), "a number")
