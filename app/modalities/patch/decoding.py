"""The decoding of files to the rows that training stores. Imports no torch: it runs in child processes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.media.accepted import AcceptedFiles

DecodedRows = NDArray[Any]


@dataclass(frozen=True)
class Decoding:
    """A function from a file's bytes to rows [n, *shape] of `dtype`, n > 0. Raises AppErrors for broken files.

    `name` contains all settings that the result depends on. `decode` can be pickled.
    """

    files: AcceptedFiles
    name: str
    shape: tuple[int, ...]
    dtype: str
    decode: Callable[[bytes], DecodedRows]

    def __call__(self, data: bytes) -> DecodedRows:
        return np.ascontiguousarray(self.decode(data), dtype=self.dtype)
