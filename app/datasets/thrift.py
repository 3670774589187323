"""A reader of Thrift's compact protocol, the format of Parquet's footers and page headers.

https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
"""

from collections.abc import Mapping
from typing import Any

# The numbers of the fields to keep of a struct; for a field that holds structs, the fields to keep of those.
Wanted = Mapping[int, "Wanted"]

_TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _STRUCT = 1, 2, 3, 7, 8, 9, 10, 12
_INTS = (4, 5, 6)
_NOTHING: Wanted = {}
MAX_DEPTH = 8


class Compact:
    """Reads structs from bytes. Raises IndexError at the end of the data, and ValueError for damaged data."""

    def __init__(self, data: bytes) -> None:
        self._data, self.at = data, 0

    def struct(self, wanted: Wanted, depth: int = 0) -> dict[int, Any]:
        """Reads the wanted fields of a struct by number: integers, bytes, dicts and lists. Skips all others."""
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
        if depth > MAX_DEPTH:
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
            kind = _BYTE  # in a list, each boolean takes a byte
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
