"""Intervals of figures of a single run: the sampling error of its rows, by the percentile bootstrap."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.evaluation.metrics import Interval

DRAWS = 1000
MOST_ROWS = 10_000  # of one draw
_SEED = 0

Rows = NDArray[np.float64]  # [N, C]: the values of each row that a figure is computed of
Statistic = Callable[[Rows], float]


@dataclass(frozen=True)
class Resampled:
    """A figure of N rows, and the same figure of each draw of rows.

    draws: [DRAWS]. Two figures with as many rows have the same draws of rows. scale: how much less the figure of N rows
    varies than that of a draw.
    """

    value: float
    draws: NDArray[np.float64]
    scale: float

    @property
    def interval(self) -> Interval:
        """The figure with its 95 % interval."""
        low, high = self.value + self.scale * (np.percentile(self.draws, [2.5, 97.5]) - self.value)
        return Interval(self.value, float(low), float(high), 1)

    def __sub__(self, other: "Resampled") -> "Resampled":
        """Returns the difference of two figures of the same rows."""
        return Resampled(self.value - other.value, self.draws - other.draws, self.scale)


def resample(rows: Rows, statistic: Statistic, check: Callable[[], None]) -> Resampled:
    """Computes a figure of rows and of draws of rows (Efron and Tibshirani 1993, chapter 13).

    A draw has at most `MOST_ROWS` of N rows: the m out of n bootstrap, for figures whose error falls as 1/√N (Bickel et
    al. 1997, Statistica Sinica 7, 1-31). check: is called before each draw; may raise to stop.
    """
    size = min(len(rows), MOST_ROWS)
    found = []
    for drawn in _draw(len(rows), size):
        check()
        found.append(statistic(rows[drawn]))
    return Resampled(statistic(rows), np.array(found), float(np.sqrt(size / len(rows))))


def _draw(count: int, size: int) -> Iterator[NDArray[np.int64]]:
    rng = np.random.default_rng(_SEED)
    return (rng.integers(count, size=size) for _ in range(DRAWS))
