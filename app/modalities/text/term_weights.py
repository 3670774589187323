"""The plain predictor that sentence embeddings are compared with."""

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

MAX_WEIGHTS = 1 << 27  # numbers of a dense matrix of term weights, 512 MiB

Ids = NDArray[np.int64]


class TermWeights:
    """TF-IDF weights of tokens: the plain predictor of which texts belong together.

    texts: those that document frequencies are counted in.
    """

    def __init__(self, texts: Iterable[Ids]) -> None:
        self._counts: Counter[int] = Counter()
        self._texts = 0
        for ids in texts:
            self._counts.update(np.unique(ids).tolist())
            self._texts += 1

    def weigh(self, texts: Sequence[Ids]) -> Tensor | None:
        """Returns a vector for each of T texts, [T, W] with the W tokens that they have; None if it would be huge."""
        tokens, places = np.unique(np.concatenate([*texts, np.zeros(0, np.int64)]), return_inverse=True)
        if len(tokens) * len(texts) > MAX_WEIGHTS:
            return None
        rows = np.repeat(np.arange(len(texts)), [len(ids) for ids in texts])
        found = np.zeros((len(texts), len(tokens)), np.float32)
        np.add.at(found, (rows, places), 1)
        frequencies = np.array([self._counts[int(token)] for token in tokens])
        # Smoothed as in scikit-learn: as if one more text had every token.
        found *= np.log((1 + self._texts) / (1 + frequencies)) + 1
        return torch.from_numpy(found)
