"""Spearman's rank correlation."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def correlate_ranks(first: NDArray[Any], second: NDArray[Any]) -> float:
    """Returns Spearman's rank correlation of two lists, with mean ranks for ties; 0 if one of them is constant."""
    ranks = [_rank(each) for each in (first, second)]
    centred = [each - each.mean() for each in ranks]
    norm = float(np.linalg.norm(centred[0]) * np.linalg.norm(centred[1]))
    return float(np.clip(centred[0] @ centred[1] / norm, -1, 1)) if norm else 0.0


def _rank(values: NDArray[Any]) -> NDArray[np.float64]:
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks: NDArray[np.float64] = (last - (counts - 1) / 2)[places]
    return ranks
