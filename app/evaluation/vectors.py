"""Properties of a model's vectors that tell of a collapse: all items in few dimensions, or in one direction."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_ITEMS = 5_000  # of which RankMe is computed
_EPSILON = 1e-7  # as in the paper


@dataclass(frozen=True)
class Spread:
    """rank_me: the effective number of dimensions. mean_cosine: of all pairs of different items."""

    dimensions: int
    rank_me: float
    mean_cosine: float


def measure_spread(vectors: NDArray[np.float32]) -> Spread:
    """Measures vectors [N, D]. RankMe: Garrido et al. 2023, https://arxiv.org/abs/2210.02885, of the first 5,000."""
    singular = np.linalg.svd(vectors[:_ITEMS].astype(np.float64), compute_uv=False)
    shares = singular / max(singular.sum(), _EPSILON) + _EPSILON
    rank = float(np.exp(-(shares * np.log(shares)).sum()))
    count = len(vectors)
    unit = normalize(vectors).astype(np.float64)
    total = unit.sum(0)
    cosine = float((total @ total - (unit**2).sum()) / max(count * (count - 1), 1))
    return Spread(vectors.shape[1], rank, cosine)


def normalize(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns the vectors [N, D] with length 1."""
    scaled: NDArray[np.float32] = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return scaled
