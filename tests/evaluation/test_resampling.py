"""Intervals by the bootstrap: many rows are drawn in part, and the work can be stopped."""

import numpy as np
import pytest

from app.evaluation.resampling import DRAWS, MOST_ROWS, Rows, resample
from app.training.hooks import Stopped


def find_mean(rows: Rows) -> float:
    return float(rows.mean())


def test_a_draw_of_many_rows_has_some_of_them_and_the_interval_is_that_of_all() -> None:
    rows = np.random.default_rng(1).normal(size=(4 * MOST_ROWS, 1))
    sizes = set()

    def measure(drawn: Rows) -> float:
        sizes.add(len(drawn))
        return find_mean(drawn)

    mean, low, high, _ = resample(rows, measure, lambda: None).interval
    assert sizes == {MOST_ROWS, len(rows)}
    assert mean == rows.mean() and low is not None and high is not None
    assert (high - low) / 2 == pytest.approx(1.96 / np.sqrt(len(rows)), rel=0.1)  # of a normal mean
    assert (high + low) / 2 == pytest.approx(mean, abs=0.1 * (high - low))


def test_differences_have_the_same_draws() -> None:
    rows = np.random.default_rng(2).normal(size=(50, 1))
    one, other = (resample(each, find_mean, lambda: None) for each in (rows + 3, rows))
    assert (one - other).interval == pytest.approx((3, 3, 3, 1))


def test_it_stops_between_draws() -> None:
    draws = 0

    def check() -> None:
        nonlocal draws
        draws += 1
        if draws == 3:
            raise Stopped("pause")

    with pytest.raises(Stopped, match="pause"):
        resample(np.zeros((10, 1)), find_mean, check)
    assert draws == 3 < DRAWS
