"""A dataset made of several weighted ones."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.training.data.order import Stream, generator, sample_order
from app.training.hooks import Dataset

Ints = NDArray[np.int64]


class Mixture:
    """Datasets from each of which an epoch takes `weight` times as many samples as it has.

    `len` and `tokens` are of one epoch. An index counts through the datasets, one after the other.
    """

    def __init__(self, parts: Sequence[Dataset], weights: Sequence[float]) -> None:
        self.parts = parts
        # An epoch takes at least one sample of each dataset that has any, however small its weight.
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
        """Yields (pass, index) from sample number `first` on, without end. A pure function of its arguments.

        Each dataset is read in passes, and every pass is a new permutation. An epoch continues in each dataset
        where the epoch before ended, and shuffles the samples of all datasets. No (pass, index) comes twice, so
        no sample gets the same mask twice.
        """
        current, passes, indices = -1, np.zeros(0, np.int64), np.zeros(0, np.int64)
        for epoch, slot in sample_order(len(self), seed, first):
            if epoch != current:
                current = epoch
                passes, indices = self._epoch(seed, epoch)
            yield int(passes[slot]), int(indices[slot])

    def _epoch(self, seed: int, epoch: int) -> tuple[Ints, Ints]:
        """Returns (passes, indices) of an epoch's samples, dataset by dataset, each [len(self)]."""
        passes, indices = [], []
        for number, (part, quota) in enumerate(zip(self.parts, self.quotas, strict=True)):
            if quota == 0:
                continue
            start = int(self._ends[number]) - len(part)
            pass_of, position = np.divmod(epoch * quota + np.arange(quota), len(part))
            for one_pass in np.unique(pass_of):
                order = generator(seed, Stream.PART, number, int(one_pass)).permutation(len(part))
                indices.append(start + order[position[pass_of == one_pass]])
            passes.append(pass_of)
        return np.concatenate(passes), np.concatenate(indices)


def count_indices(data: Dataset) -> int:
    """Returns the number of samples that have an index: those of a mixture's datasets, whatever their weights."""
    return sum(map(len, data.parts)) if isinstance(data, Mixture) else len(data)


def iterate_samples(data: Dataset, seed: int, first: int) -> Iterator[tuple[int, int]]:
    """Yields (pass, index) of the samples that training on `data` takes, from number `first` on."""
    return data.order(seed, first) if isinstance(data, Mixture) else sample_order(len(data), seed, first)
