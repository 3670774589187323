"""The learning rate as a pure function of progress."""

import math


def decay_start(*, warmup: float, decay: float) -> float:
    """How much of a run with `warmup-stable-decay` is done when its decay begins."""
    return max(1.0 - decay, warmup)


def learning_rate_factor(progress: float, kind: str, *, warmup: float, decay: float) -> float:
    """Factor in [0, 1] on the peak learning rate at `progress` in [0, 1] of the run.

    All kinds rise linearly over the first `warmup`; then `linear` and `cosine` fall to zero, and
    `warmup-stable-decay` stays at the peak until the last `decay` of the run, where it falls by
    1 − √ (the decay that arXiv 2405.18392 found best).
    """
    progress = min(max(progress, 0.0), 1.0)
    if progress < warmup:
        return progress / warmup
    if kind == "warmup-stable-decay":
        start = decay_start(warmup=warmup, decay=decay)
        return 1.0 if progress <= start else 1.0 - math.sqrt((progress - start) / (1.0 - start))
    rest = (progress - warmup) / (1.0 - warmup)
    return 1.0 - rest if kind == "linear" else 0.5 * (1.0 + math.cos(math.pi * rest))
