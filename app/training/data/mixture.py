"""Several datasets trained on as one, each as often as it is worth."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.training.data.order import Stream, generator, sample_order
from app.training.hooks import Dataset

Ints = NDArray[np.int64]


class Mixture:
    """Datasets of which an epoch takes `weight` times as many samples as each of them holds.

    `len` and `tokens` are of one epoch. An index counts through the parts, one after the other.
    """

    def __init__(self, parts: Sequence[Dataset], weights: Sequence[float]) -> None:
        self.parts = parts
        # Of what is there something is taken, however small its weight.
        self.quotas = [max(round(w * len(p)), min(len(p), 1)) for p, w in zip(parts, weights, strict=True)]
        self.part_tokens = [round(p.tokens / max(len(p), 1) * q) for p, q in zip(parts, self.quotas, strict=True)]
        self.tokens = sum(self.part_tokens)
        self._ends = np.cumsum([len(p) for p in parts])

    def __len__(self) -> int:
        return sum(self.quotas)

    def __getitem__(self, index: int) -> Any:
        part = int(np.searchsorted(self._ends, index, side="right"))
        return self.parts[part][index - (int(self._ends[part - 1]) if part else 0)]

    def order(self, seed: int, first: int) -> Iterator[tuple[int, int]]:
        """(pass, index) from the `first`-th sample on, without end: a pure function of its arguments.

        Each part is gone through in passes, every one a permutation of its own; an epoch goes on in
        each part where the epoch before left off, and shuffles what it takes from all of them. No
        (pass, index) comes twice, so neither do a sample's masks.
        """
        current, passes, rows = -1, np.zeros(0, np.int64), np.zeros(0, np.int64)
        for epoch, slot in sample_order(len(self), seed, first):
            if epoch != current:
                current, (passes, rows) = epoch, self._epoch(seed, epoch)
            yield int(passes[slot]), int(rows[slot])

    def _epoch(self, seed: int, epoch: int) -> tuple[Ints, Ints]:
        """(pass, index) of all that the epoch takes, part by part. Each [len(self)]"""
        passes, indices = [], []
        for number, (part, quota) in enumerate(zip(self.parts, self.quotas, strict=True)):
            if quota:
                start = int(self._ends[number]) - len(part)
                each, at = np.divmod(epoch * quota + np.arange(quota), len(part))
                for one in np.unique(each):
                    order = generator(seed, Stream.PART, number, int(one)).permutation(len(part))
                    indices.append(start + order[at[each == one]])
                passes.append(each)
        return np.concatenate(passes), np.concatenate(indices)


def iterate_samples(data: Dataset, seed: int, first: int) -> Iterator[tuple[int, int]]:
    """(pass, index) of the samples that training on `data` takes, from the `first`-th on."""
    return data.order(seed, first) if isinstance(data, Mixture) else sample_order(len(data), seed, first)
