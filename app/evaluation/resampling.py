"""Intervals of figures of a single run: the sampling error of its rows, by the percentile bootstrap."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from app.evaluation.metrics import Interval

_DRAWS = 1000
_SEED = 0

Rows = NDArray[np.float64]  # [N, C]: the values of each row that a figure is computed of
Statistic = Callable[[Rows], float]


def estimate(rows: Rows, statistic: Statistic) -> Interval:
    """Returns a figure of rows with its 95 % interval (Efron and Tibshirani 1993, chapter 13)."""
    return _interval(statistic(rows), np.array([statistic(rows[drawn]) for drawn in _draw(len(rows))]))


def estimate_difference(first: Rows, second: Rows, statistic: Statistic) -> Interval:
    """Returns the figure of `first` minus that of `second`, of the same rows. Each draw has the same rows of both."""
    draws = [statistic(first[drawn]) - statistic(second[drawn]) for drawn in _draw(len(first))]
    return _interval(statistic(first) - statistic(second), np.array(draws))


def _draw(count: int) -> list[NDArray[np.int64]]:
    rng = np.random.default_rng(_SEED)
    return [rng.integers(count, size=count) for _ in range(_DRAWS)]


def _interval(value: float, draws: NDArray[np.float64]) -> Interval:
    low, high = np.percentile(draws, [2.5, 97.5])
    return Interval(value, float(low), float(high), 1)
