"""Sparse vectors: a weight for each entry of the vocabulary, from the logits of the masked-LM head.

SPLADE (Formal et al. 2021, https://arxiv.org/abs/2109.10086): log(1 + relu(logits)), at most over the tokens of a
text. All tokens count, special ones and those of a prompt included, as in sentence-transformers' SparseEncoder.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from app.errors import AppError
from app.modalities.embedding import SparseVector
from app.modalities.text.batches import TextBatch
from app.modalities.text.encoder import vocabulary_size
from app.modalities.text.encoding import TextEncoder
from app.modalities.text.filling.rows import count_cost
from app.modalities.text.forward import TextForward
from app.modalities.text.pipeline import SparsePooling

_LOGITS = 1 << 26  # computed at once: 256 MiB in float32

Floats = NDArray[np.float32]


class SparseHead:
    """Computes the sparse vectors of texts.

    forward: of a model with a masked-LM head.
    """

    def __init__(self, forward: TextForward, encoder: TextEncoder, pooling: SparsePooling) -> None:
        self._forward, self._encoder, self._pooling = forward, encoder, pooling
        self._vocabulary = vocabulary_size(forward.model)
        self._entries = min(encoder.entries, self._vocabulary)

    def cost(self, tokens: int) -> int:
        """Counts what a row takes of a batch's token budget: the logits of all its tokens."""
        return count_cost(tokens, tokens, self._vocabulary)

    def run(self, texts: TextBatch, terms: Sequence[int | None]) -> list[Floats]:
        """Returns (index, weight) of the entries with the highest weights of each text [n, 2], best first.

        terms: their greatest number; None for all that are not 0. Indexes are exact: float32 holds integers to 2^24.
        """
        pooled = torch.zeros(len(terms), self._entries, device=self._forward.device)
        for places in self._split(texts):
            logits = self._forward.logits(texts, self._forward.places(texts, places))[: len(places)]
            self._add(pooled, logits[:, : self._entries].float(), [text for text, _ in places])
        if self._pooling.mode == "max":
            pooled = self._weigh(pooled)
        return [_best(weights, count) for weights, count in zip(pooled, terms, strict=True)]

    def finish(self, raw: Floats) -> SparseVector:
        """Raises AppError for numbers that are not finite."""
        if not np.isfinite(raw).all():
            raise AppError("the model computed numbers that are not finite for this input")
        indices = raw[:, 0].astype(np.int64)
        return SparseVector(indices, raw[:, 1], tuple(map(self._encoder.decode_token, indices.tolist())))

    def _split(self, texts: TextBatch) -> Iterator[list[tuple[int, int]]]:
        """Yields the positions of all texts in parts, whose logits are computed at once."""
        places = [(text, position) for text, length in enumerate(texts.lengths) for position in range(length)]
        step = max(1, _LOGITS // self._vocabulary)
        yield from (places[start : start + step] for start in range(0, len(places), step))

    def _add(self, pooled: Tensor, logits: Tensor, owners: Sequence[int]) -> None:
        """Adds the logits [N, V] of tokens to the vectors [B, V] of the texts that they are of, in order."""
        counts = torch.unique_consecutive(torch.tensor(owners), return_counts=True)
        parts: Sequence[Tensor] = torch.split(logits, counts[1].tolist())
        for text, part in zip(counts[0].tolist(), parts, strict=True):
            if self._pooling.mode == "max":  # weights grow with logits, so that they are computed of the maximum alone
                torch.maximum(pooled[text], part.amax(0), out=pooled[text])
            else:
                pooled[text] += self._weigh(part).sum(0)

    def _weigh(self, logits: Tensor) -> Tensor:
        weights = logits.relu().log1p()
        return weights.log1p() if self._pooling.double_log else weights


def _best(weights: Tensor, count: int | None) -> Floats:
    """Returns (index, weight) of the highest of [V] that are above 0, best first [n, 2]. A NaN comes first."""
    values, order = weights.topk(min(count or len(weights), len(weights)))
    kept = ~(values <= 0)
    return torch.stack([order[kept].float(), values[kept]], dim=1).cpu().numpy()
