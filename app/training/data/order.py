"""The randomness of a run, as pure functions of (seed, purpose, epoch, sample).

So a resumed run repeats and skips no sample, and the number of processes changes nothing.
"""

from collections.abc import Iterator
from enum import IntEnum

import numpy as np


class Stream(IntEnum):
    """The purpose of a generator. No two purposes share random numbers."""

    HOLD_OUT = 1
    ORDER = 2
    MASK = 3
    EVALUATION = 4
    PART = 5  # the order within one dataset of a mixture
    FORWARD = 6  # draws within the model, such as dropout


def sample_order(rows: int, seed: int, first: int) -> Iterator[tuple[int, int]]:
    """Yields (epoch, row) from sample number `first` on, without end. Each epoch is a new permutation."""
    epoch, position = divmod(first, rows)
    while True:
        order = generator(seed, Stream.ORDER, epoch).permutation(rows)
        for row in order[position:]:
            yield epoch, int(row)
        epoch, position = epoch + 1, 0


def generator(seed: int, stream: Stream, *key: int) -> np.random.Generator:
    """Returns a new generator that depends on its arguments only. key: for instance the epoch and the row."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, stream, *key])))
