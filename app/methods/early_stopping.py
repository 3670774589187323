"""The metrics that early stopping can watch."""

from typing import Literal

EarlyStoppingMetric = Literal["eval_loss", "eval_probe"]
PROBE: EarlyStoppingMetric = "eval_probe"  # the first score on labelled items


def improves(metric: EarlyStoppingMetric, value: float, best: float, min_delta: float) -> bool:
    """Returns whether `value` is better than `best` by more than `min_delta`. A score rises, and a loss falls."""
    return value > best + min_delta if metric == PROBE else value < best - min_delta
