"""Thrift's compact protocol, as Parquet's footers and page headers are written in it.

https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
"""

from collections.abc import Mapping
from typing import Any

# Which fields of a struct are kept, by their numbers; of structs and lists of structs, which of theirs.
Wanted = Mapping[int, "Wanted"]

_TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _STRUCT = 1, 2, 3, 7, 8, 9, 10, 12
_INTS = (4, 5, 6)
_NOTHING: Wanted = {}
DEEPEST = 8


class Compact:
    """Reads structs from bytes. Raises IndexError at the end of the data and ValueError where they are damaged."""

    def __init__(self, data: bytes) -> None:
        self._data, self.at = data, 0

    def struct(self, wanted: Wanted, depth: int = 0) -> dict[int, Any]:
        """The wanted fields by their numbers: integers, bytes, dicts and lists; all else is skipped."""
        fields: dict[int, Any] = {}
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._zigzag()
            kind = head & 15
            value = None if kind in (_TRUE, _FALSE) else self._value(kind, wanted.get(number, _NOTHING), depth)
            if number in wanted:
                fields[number] = value
        return fields

    def _value(self, kind: int, wanted: Wanted, depth: int) -> Any:
        if depth > DEEPEST:
            raise ValueError("it is nested too deeply")
        if kind in _INTS:
            return self._zigzag()
        if kind == _BINARY:
            return self._take(self._varint())
        if kind == _STRUCT:
            return self.struct(wanted, depth + 1)
        if kind in (_LIST, _SET):
            return self._list(wanted, depth + 1)
        if kind not in (_BYTE, _DOUBLE):
            raise ValueError("a field has an unknown type")
        return self._take(1 if kind == _BYTE else 8)

    def _list(self, wanted: Wanted, depth: int) -> list[Any]:
        head = self._byte()
        count, kind = head >> 4, head & 15
        if count == 15:
            count = self._varint()
        if kind in (_TRUE, _FALSE):
            kind = _BYTE  # each has a byte of its own
        found = []
        for _ in range(count):
            value = self._value(kind, wanted, depth)
            if wanted:
                found.append(value)
        return found

    def _byte(self) -> int:
        self.at += 1
        return self._data[self.at - 1]

    def _varint(self) -> int:
        found = 0
        for shift in range(0, 70, 7):
            byte = self._byte()
            found |= (byte & 0x7F) << shift
            if not byte & 0x80:
                return found
        raise ValueError("a number is too long")

    def _zigzag(self) -> int:
        found = self._varint()
        return found >> 1 ^ -(found & 1)

    def _take(self, count: int) -> bytes:
        self.at += count
        if self.at > len(self._data):
            raise IndexError
        return self._data[self.at - count : self.at]
