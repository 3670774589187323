"""The learning rate as a pure function of a run's progress."""

import math


def decay_start(*, warmup: float, decay: float) -> float:
    """Returns the progress in [0, 1] at which the decay of `warmup-stable-decay` begins."""
    return max(1.0 - decay, warmup)


def learning_rate_factor(progress: float, kind: str, *, warmup: float, decay: float) -> float:
    """Returns the factor in [0, 1] on the peak learning rate at `progress` in [0, 1] of the run.

    Every schedule rises linearly over the share `warmup`. Then `linear` and `cosine` fall to zero.
    `warmup-stable-decay` stays at the peak until the last share `decay` of the run, and falls there as
    1 − √x, the decay that arXiv 2405.18392 found best.
    """
    progress = min(max(progress, 0.0), 1.0)
    if progress < warmup:
        return progress / warmup
    if kind == "warmup-stable-decay":
        start = decay_start(warmup=warmup, decay=decay)
        return 1.0 if progress <= start else 1.0 - math.sqrt((progress - start) / (1.0 - start))
    rest = (progress - warmup) / (1.0 - warmup)
    return 1.0 - rest if kind == "linear" else 0.5 * (1.0 + math.cos(math.pi * rest))
