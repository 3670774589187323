"""Documents of .jsonl, an object or a string a line, and .json, an array of them."""

import json
import re
from collections.abc import Iterator
from json.decoder import scanstring  # type: ignore[attr-defined]  # the stubs lack it
from typing import IO

from app.datasets.sources import Source, explain, shorten
from app.datasets.text import MAX_ROW, open_text, read_lines, too_long
from app.errors import InvalidData

MAX_ELEMENTS = 250_000  # commas and brackets of a row: as many lists take 0.1 s and 20 MB
PIECE = 64 * 1024  # characters of an array that are read at once
_LONGEST_WORD = 16  # above the characters of "-Infinity", the longest piece of JSON besides strings and numbers
_SPACES = re.compile(r"[ \t\r\n]*+")
_DECODER = json.JSONDecoder()
_NAMES = {dict: "an object", list: "a list", str: "a string", bool: "true or false", type(None): "null"}


def read_jsonl(stream: IO[bytes], source: Source) -> Iterator[str]:
    for number, line in read_lines(stream, source):
        where = f"{source.name}, line {number}"
        if not line.strip():
            source.row("", where)
            continue
        check_elements(line, 0, where)
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as e:  # a ValueError alone is a number of thousands of digits
            raise _no_row(where, e) from e
        yield _text(row, where, source)


def read_json(stream: IO[bytes], source: Source) -> Iterator[str]:
    for index, row in enumerate(_JsonArray(stream, source)):
        yield _text(row, f"{source.name}, element {index}", source)


def check_elements(text: str, start: int, where: str) -> None:
    """Raises InvalidData where the value at `start` has more than MAX_ELEMENTS: a few bytes each become objects."""
    if len(text) - start <= MAX_ELEMENTS or sum(text.count(mark, start) for mark in "[{,") <= MAX_ELEMENTS:
        return  # which it seldom has, strings and what follows the value included
    count, depth, at = 0, 0, start
    while at < len(text):
        character = text[at]
        at += 1
        if character == '"':
            try:
                at = scanstring(text, at, False)[1]
            except ValueError:
                return  # the end of the string is still to be read, or missing
        elif character in "[{,":
            count += 1
            depth += character != ","
            if count > MAX_ELEMENTS:
                raise InvalidData(f"{where}: more than {MAX_ELEMENTS:,} elements in one row, which is the limit")
        elif character in "]}":
            depth -= 1
        if depth == 0:
            return


def _no_row(where: str, error: Exception) -> InvalidData:
    reason = error.msg if isinstance(error, json.JSONDecodeError) else explain(error)
    return InvalidData(f"{where}: expected a JSON object or string ({reason})")


class _JsonArray:
    """The elements of an array, each read when it is asked for: a gigabyte of them may come from a megabyte of .gz."""

    def __init__(self, stream: IO[bytes], source: Source) -> None:
        self._text = open_text(stream, source, newline="")
        self._name = source.name
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
        if self._peek() not in ("{", '"', "n"):  # any other is not even built: it may be large, too
            raise InvalidData(f"{where}: expected an object or a string, found {self._found()}")
        while True:
            check_elements(self._buffer, self._at, where)
            try:
                row, end = _DECODER.raw_decode(self._buffer, self._at)
            except json.JSONDecodeError as e:
                # Cut off by the end of the buffer, or wrong?
                is_cut = e.msg.startswith("Unterminated string") or e.pos > len(self._buffer) - _LONGEST_WORD
                size = len(self._buffer) - self._at
                if is_cut and size > MAX_ROW:
                    raise too_long(where) from e
                if not is_cut or not self._read_on(max(size, PIECE)):
                    raise _no_row(where, e) from e
            except (ValueError, RecursionError) as e:  # a ValueError alone is a number of thousands of digits
                raise _no_row(where, e) from e
            else:
                if end - self._at > MAX_ROW:
                    raise too_long(where)
                self._at = end
                return row

    def _take(self, character: str, expected: str) -> None:
        if self._peek() != character:
            raise InvalidData(f"{expected}, found {self._found()}")
        self._at += 1

    def _peek(self) -> str:
        """The next character that is no space, which it moves to; none at the end."""
        while True:
            self._at = _SPACES.match(self._buffer, self._at).end()  # type: ignore[union-attr]  # it always matches
            if self._at < len(self._buffer):
                return self._buffer[self._at]
            if not self._read_on(PIECE):
                return ""

    def _read_on(self, characters: int) -> bool:
        """Whether there were more."""
        more = self._text.read(characters)
        self._buffer, self._at = self._buffer[self._at :] + more, 0
        return bool(more)

    def _found(self) -> str:
        return repr(self._buffer[self._at : self._at + 20]) if self._peek() else "the end"


def _text(row: object, where: str, source: Source) -> str:
    """The text of a row; "" where it is left out."""
    value, column = row, source.column
    if isinstance(row, dict):
        if column not in row:
            found = ", ".join(repr(shorten(name, 50)) for name in list(row)[:10])
            raise InvalidData(f"{where}: no field {column!r}; found {found or 'none'}")
        value = row[column]
    if value is None or isinstance(value, str):
        return source.row(value, where)
    if isinstance(row, dict):
        raise InvalidData(f"{where}: expected a string in {column!r}, found {_name(value)}")
    raise InvalidData(f"{where}: expected an object or a string, found {_name(value)}")


def _name(value: object) -> str:
    return _NAMES.get(type(value), "a number")
