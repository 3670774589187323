"""Parts of an answer as JSON. No other thread runs while orjson writes, so large answers are made of parts."""

from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray


def fragment(value: Any) -> orjson.Fragment:
    """Returns a value as JSON; dataclasses become objects of their fields."""
    return orjson.Fragment(orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY))


def vector_fragment(vector: NDArray[np.floating[Any]]) -> orjson.Fragment:
    """Returns an array as JSON. Half a million numbers as Python objects would take longer than the model."""
    return fragment(np.ascontiguousarray(vector))  # a vector that is cut to its first dimensions is a view
