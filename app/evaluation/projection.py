"""Two principal components of a model's vectors: a map of the items."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MOST_POINTS = 2_000


@dataclass(frozen=True)
class Projection:
    """points: of the items of `choose_points`, [N, 2]. shares: of the variance that each axis keeps."""

    model: str
    points: NDArray[np.float32]
    shares: Sequence[float]


def choose_points(count: int) -> NDArray[np.int64]:
    """Returns the items that are drawn, of so many: all of them, or `MOST_POINTS` at random, the same each time."""
    if count <= MOST_POINTS:
        return np.arange(count)
    return np.sort(np.random.default_rng(0).permutation(count)[:MOST_POINTS])


def project(model: str, vectors: NDArray[np.float32]) -> Projection:
    """Projects vectors [N, D] on the two principal components of those that are drawn. D may be 1."""
    from sklearn.decomposition import PCA

    drawn = vectors[choose_points(len(vectors))].astype(np.float64)
    analysis = PCA(min(2, *drawn.shape), random_state=0)
    with np.errstate(invalid="ignore"):  # all vectors may be equal
        found = analysis.fit_transform(drawn)
    shares = np.nan_to_num(analysis.explained_variance_ratio_)
    missing = 2 - found.shape[1]
    points = np.pad(found, ((0, 0), (0, missing))).astype(np.float32)
    return Projection(model, points, [*map(float, shares), *[0.0] * missing])
