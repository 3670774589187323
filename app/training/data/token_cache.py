"""A cache in memory of parts of texts: their tokens, and their normal forms for hashes."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from app.training.data.chunking import Ints

MAX_PARTS = 500_000  # of some 200 bytes each
MAX_BYTES = 64_000_000  # of tokens and normal forms; bounds texts of very long parts

S = TypeVar("S", bound=np.generic)


class EncodedParts(NamedTuple):
    """The tokens and normal forms of K parts.

    Attributes:
        ids: The packed token ids of each part.
        normals: The contribution of each part to the text that `text_hash` hashes.
        alone: True for a part whose neighbours change its normal form. If white space makes tokens, a text must not
            be cut after it.
    """

    ids: Sequence[bytes]
    normals: Sequence[bytes]
    alone: Sequence[bool]


class CachedParts(NamedTuple):
    """Columns of all cached parts, and the numbers [K] of the requested parts in them."""

    numbers: Ints
    ids: pa.Array  # large_binary
    normals: pa.Array  # large_binary
    alone: NDArray[np.bool_]


class BinaryColumn:
    """A growing column of binary values. Arrays that `values` has returned do not change."""

    def __init__(self) -> None:
        self._data, self._edges = np.empty(0, np.uint8), np.zeros(1, np.int64)
        self._count = 0

    @property
    def size(self) -> int:
        """The bytes of all values."""
        return int(self._edges[self._count])

    def extend(self, values: Sequence[bytes]) -> None:
        start, count = self.size, self._count + len(values)
        edges = start + np.cumsum(np.fromiter(map(len, values), np.int64, len(values)))
        self._edges = _grow(self._edges, count + 1)
        self._edges[self._count + 1 : count + 1] = edges
        end = self.size if not len(values) else int(edges[-1])
        self._data = _grow(self._data, end)
        self._data[start:end] = np.frombuffer(b"".join(values), np.uint8)
        self._count = count

    def values(self) -> pa.Array:
        """Returns all values as a large_binary array, without a copy."""
        buffers = [None, pa.py_buffer(self._edges[: self._count + 1]), pa.py_buffer(self._data[: self.size])]
        return pa.LargeBinaryArray.from_buffers(pa.large_binary(), self._count, buffers)


class TokenCache:
    """The tokens and normal forms of parts, by the part's text."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._ids, self._normals = BinaryColumn(), BinaryColumn()
        self._alone = np.empty(0, np.bool_)

    @property
    def full(self) -> bool:
        """Whether the caller should begin with an empty cache. Common parts are soon in it again."""
        return len(self._numbers) >= MAX_PARTS or self._ids.size + self._normals.size >= MAX_BYTES

    def look_up(self, parts: Sequence[str], encode: Callable[[Sequence[str]], EncodedParts]) -> CachedParts:
        """Returns the parts' entries. The parts are unique. `encode` is called with those that are new."""
        numbers = list(map(self._numbers.get, parts))
        if None in numbers:
            new = [part for part, number in zip(parts, numbers, strict=True) if number is None]
            self._add(new, encode(new))
            numbers = list(map(self._numbers.get, parts))
        columns = self._ids.values(), self._normals.values(), self._alone[: len(self._numbers)]
        return CachedParts(np.array(numbers, np.int64), *columns)

    def _add(self, parts: Sequence[str], encoded: EncodedParts) -> None:
        first, count = len(self._numbers), len(self._numbers) + len(parts)
        self._ids.extend(encoded.ids)
        self._normals.extend(encoded.normals)
        self._alone = _grow(self._alone, count)
        self._alone[first:count] = encoded.alone
        self._numbers.update(zip(parts, range(first, count), strict=True))


def _grow(values: NDArray[S], size: int) -> NDArray[S]:
    """Returns the values in an array of at least `size`."""
    if size <= len(values):
        return values
    grown: NDArray[Any] = np.empty(max(size, 2 * len(values)), values.dtype)
    grown[: len(values)] = values
    return grown
