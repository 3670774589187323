"""Vectors as small integers or bits, equal to sentence-transformers' `quantize_embeddings`."""

from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

Precision = Literal["int8", "uint8", "binary", "ubinary"]
PRECISIONS: Sequence[Precision] = get_args(Precision)
CALIBRATED: Sequence[Precision] = ("int8", "uint8")  # which need ranges

Floats = NDArray[np.float32]
_STEPS = 255  # between the values of a byte
_SIGNED = 128  # what a signed byte is less than an unsigned one


def calibrate(vectors: Floats) -> Floats:
    """Returns the smallest and the largest value of each dimension, [2, D]. vectors: [N, D]."""
    return np.stack([vectors.min(axis=0), vectors.max(axis=0)])


def quantize(vectors: Floats, precision: Precision, ranges: Floats | None = None) -> NDArray[Any]:
    """Returns vectors [..., D] as int8 or uint8 [..., D], or as bits, [..., ceil(D / 8)].

    int8, uint8: a range of each dimension is divided into 255 steps, and values outside become its ends. Values of
    int8 are those of uint8 minus 128. ranges: [2, D].
    binary, ubinary: a bit is 1 for a number above 0. Eight dimensions are a byte, the first one its highest bit.
    Bytes of binary are those of ubinary minus 128.
    Raises ValueError for int8 and uint8 without ranges.
    """
    if precision in CALIBRATED:
        if ranges is None:
            raise ValueError(f"{precision} needs ranges")
        steps = (ranges[1] - ranges[0]) / _STEPS
        values = np.clip(np.floor((vectors - ranges[0]) / np.where(steps == 0, 1, steps)), 0, _STEPS)
    else:
        values = np.packbits(vectors > 0, axis=-1).astype(np.int16)
    if precision in ("int8", "binary"):
        return np.asarray(values - _SIGNED, np.int8)
    return np.asarray(values, np.uint8)
