"""How files become the rows that training stores. No torch: files are decoded in child processes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.media.accepted import AcceptedFiles

DecodedRows = NDArray[Any]


@dataclass(frozen=True)
class Decoding:
    """How items become rows: bytes → [n, *shape] of `dtype`, n > 0; raises AppErrors for what is broken.

    `name` tells apart all settings that the result depends on. `decode` can be pickled.
    """

    files: AcceptedFiles
    name: str
    shape: tuple[int, ...]
    dtype: str
    decode: Callable[[bytes], DecodedRows]

    def __call__(self, data: bytes) -> DecodedRows:
        return np.ascontiguousarray(self.decode(data), dtype=self.dtype)
