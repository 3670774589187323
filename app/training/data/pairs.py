"""Pairs of texts, from the shards of their texts."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.errors import InvalidData
from app.modalities.text.contrastive import PairSample
from app.training.data.order import Stream, generator
from app.training.data.shards import Shard

COLUMNS = 3  # texts of a pair in a shard: anchor, positive, negative; a negative without characters is missing
FEWEST_HELD_OUT = 2  # anchors: a pair needs another one to be compared with

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class TextCut:
    """How the tokens of a text become the model's input. prefix, suffix: special tokens. length: at most, with them."""

    prefix: Ints
    suffix: Ints
    length: int

    @property
    def overhead(self) -> int:
        return len(self.prefix) + len(self.suffix)

    def apply(self, tokens: NDArray[np.integer]) -> Ints:
        kept = tokens[: self.length - self.overhead].astype(np.int64)
        return np.concatenate([self.prefix, kept, self.suffix])

    def measure(self, lengths: Ints) -> Ints:
        """Returns the tokens of texts of these lengths, special ones included."""
        return np.minimum(lengths + self.overhead, self.length)


class PairRows:
    """A dataset of pairs. `rows[i]` is a PairSample.

    columns: texts of a pair in the shards, 3 or 1. With 1, a text is its own positive.
    pairs: [P, 2] the shard of each pair and its number there.
    """

    def __init__(self, shards: Sequence[Shard], pairs: Ints, cut: TextCut, columns: int) -> None:
        self._shards, self._pairs, self._cut, self._columns = shards, pairs, cut, columns
        self.tokens = self._count_tokens()  # without padding

    def _count_tokens(self) -> int:
        total = 0
        for number, shard in enumerate(self._shards):
            first = self._pairs[self._pairs[:, 0] == number, 1] * self._columns
            for column in range(self._columns):
                tokens = self._cut.measure((shard.ends - shard.starts)[first + column])
                present = shard.characters[first + column] > 0
                total += int(tokens[present].sum())
        return total * (2 if self._columns == 1 else 1)

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, index: int) -> PairSample:
        number, pair = self._pairs[index]
        shard, first = self._shards[number], int(pair) * self._columns
        places = [place for place in range(first, first + self._columns) if shard.characters[place]]
        texts = [self._cut.apply(shard.tokens[self._start(shard, place) : shard.ends[place]]) for place in places]
        keys = [int(shard.exact_hashes[place].view(np.int64)) for place in places]
        if self._columns == 1:
            return PairSample((texts[0], texts[0]), (keys[0], keys[0]))
        return PairSample(tuple(texts), tuple(keys))

    @staticmethod
    def _start(shard: Shard, place: int) -> int:
        return int(shard.ends[place - 1]) if place else 0


def list_pairs(shards: Sequence[Shard], columns: int) -> Ints:
    """Returns the pairs whose first two texts have tokens, [P, 2]; see `PairRows`."""
    found = []
    for number, shard in enumerate(shards):
        lengths = (shard.ends - shard.starts).reshape(-1, columns)
        usable = np.flatnonzero((lengths[:, :2] > 0).all(axis=1))
        found.append(np.stack([np.full(len(usable), number), usable], axis=1))
    return np.concatenate(found)


def anchor_keys(shards: Sequence[Shard], pairs: Ints, columns: int) -> NDArray[np.uint64]:
    """Returns the hash of each pair's first text, [P]."""
    keys = np.zeros(len(pairs), np.uint64)
    for number, shard in enumerate(shards):
        own = pairs[:, 0] == number
        keys[own] = shard.exact_hashes[pairs[own, 1] * columns]
    return keys


def split_pairs(pairs: Ints, keys: NDArray[np.uint64], fraction: float, seed: int) -> tuple[Ints, Ints]:
    """Splits pairs into (training, held out). Pairs with the same anchor stay together.

    keys: [P] of anchors. fraction: of the different anchors, which are held out.
    Raises InvalidData if there are too few.
    """
    anchors, places = np.unique(keys, return_inverse=True)
    if len(anchors) < 2 * FEWEST_HELD_OUT:
        raise InvalidData(
            f"{len(anchors)} pairs with different first texts are too few: there must be some to train on, and at"
            f" least {FEWEST_HELD_OUT} to hold out",
            param="training_file",
        )
    count = min(max(FEWEST_HELD_OUT, round(fraction * len(anchors))), len(anchors) - FEWEST_HELD_OUT)
    held = np.zeros(len(anchors), dtype=bool)
    held[generator(seed, Stream.HOLD_OUT).permutation(len(anchors))[:count]] = True
    return pairs[~held[places]], pairs[held[places]]
