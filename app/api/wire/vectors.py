"""The forms in which an answer contains vectors."""

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from app.api.wire.fragments import fragment, vector_fragment
from app.errors import InvalidValue
from app.inference.quantization import CALIBRATED, calibrate, quantize

VectorType = Literal["float", "base64", "int8", "uint8", "binary", "ubinary"]

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class VectorFormat:
    """The types of the vectors of an answer.

    types: one, or several where each vector is an object by type. ranges: of int8 and uint8, [2, D]; `unit`: from -1
    to 1 in each dimension; None: those of the answer's own vectors.
    """

    types: Sequence[VectorType]
    as_object: bool = False
    ranges: Literal["unit"] | Floats | None = None

    @property
    def needs_calibration(self) -> bool:
        """Whether ranges have to come from the vectors of the answer."""
        return self.ranges is None and any(kind in CALIBRATED for kind in self.types)

    def fit(self, vectors: Iterable[Floats]) -> "VectorFormat":
        """Returns the format with the ranges for these vectors, [D] or [N, D] each. Raises InvalidValue."""
        if not any(kind in CALIBRATED for kind in self.types):
            return self
        rows = [vector[np.newaxis] if vector.ndim == 1 else vector for vector in vectors]
        size = rows[0].shape[1]
        if self.ranges is None:
            return replace(self, ranges=_calibrate(np.concatenate(rows)))
        if isinstance(self.ranges, str):
            return replace(self, ranges=np.array([[-1.0] * size, [1.0] * size], np.float32))
        if self.ranges.shape != (2, size):
            raise InvalidValue(
                f"ranges are those of {self.ranges.shape[1]} dimensions, and the vectors have {size}", param="ranges"
            )
        return self

    def write(self, vector: Floats) -> Any:
        """Returns a vector [D] as a value of JSON."""
        if self.as_object:
            return {kind: self._write_as(kind, vector) for kind in self.types}
        return self._write_as(self.types[0], vector)

    def _write_as(self, kind: VectorType, vector: Floats) -> Any:
        if kind == "float":
            return vector_fragment(vector)
        if kind == "base64":
            return base64.b64encode(vector.astype("<f4").tobytes()).decode("ascii")
        return fragment(quantize(vector, kind, None if isinstance(self.ranges, str) else self.ranges))


def _calibrate(vectors: Floats) -> Floats:
    if len(vectors) < 2:
        raise InvalidValue(
            'int8 and uint8 need ranges, which one vector does not have: send `ranges`, or "ranges": "unit" for vectors'
            " of length 1",
            param="ranges",
        )
    return calibrate(vectors)
