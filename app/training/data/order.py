"""All randomness of a run, as pure functions of (seed, epoch, sample): a resumed run repeats nothing
and skips nothing, and the number of workers changes nothing."""

from collections.abc import Iterator
from enum import IntEnum

import numpy as np


class Stream(IntEnum):
    """The purpose of a generator, so that no two purposes share random numbers."""

    HOLD_OUT = 1
    ORDER = 2
    MASK = 3
    EVALUATION = 4
    PART = 5  # the order within one part of a mixture
    FORWARD = 6  # what a model draws of its own, such as dropout


def sample_order(rows: int, seed: int, first: int) -> Iterator[tuple[int, int]]:
    """(epoch, row) from the `first`-th sample on, without end: each epoch is a permutation of its own."""
    epoch, position = divmod(first, rows)
    while True:
        order = generator(seed, Stream.ORDER, epoch).permutation(rows)
        for row in order[position:]:
            yield epoch, int(row)
        epoch, position = epoch + 1, 0


def generator(seed: int, stream: Stream, *key: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, stream, *key])))
