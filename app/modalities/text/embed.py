"""Embeddings: one vector an input, or one a token."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from app.errors import AppError, EmptyInput, InvalidValue
from app.modalities.base import OneStepHandler, Prepared
from app.modalities.embedding import EmbedItem, EmbedResult
from app.modalities.patch.decoded_media import DecodedMedia
from app.modalities.text.batches import TextBatch
from app.modalities.text.encoder import POOLERS, vocabulary_size
from app.modalities.text.encoding import QUICK_CHARACTERS, TextEncoder
from app.modalities.text.forward import TextForward
from app.types import Pooling

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class TextEmbedInputs:
    ids: list[int]
    pooling: Pooling | None  # None: every token's vector


@dataclass(frozen=True)
class TextEmbedBatch:
    texts: TextBatch
    poolings: list[Pooling | None]


class TextEmbed(OneStepHandler[EmbedItem, TextEmbedInputs, EmbedItem, TextEmbedBatch, Floats, EmbedResult]):
    """Embeds texts: EmbedItem → EmbedResult."""

    def __init__(
        self, forward: TextForward, encoder: TextEncoder, *, pooling: Pooling, normalize: bool, max_length: int
    ) -> None:
        self.forward = forward
        self._encoder = encoder
        self._pooling = pooling
        self._normalize = normalize
        self._max_length = max_length
        self._vocabulary = vocabulary_size(forward.model)
        self._dimensions = int(forward.model.config.hidden_size)

    @property
    def pads(self) -> bool:
        return self.forward.pads

    def example(self) -> EmbedItem:
        return EmbedItem(self._encoder.example)

    def is_quick(self, item: EmbedItem) -> bool:
        return isinstance(item.input, str) and len(item.input) <= QUICK_CHARACTERS and item.output == "pooled"

    def prepare(self, item: EmbedItem) -> Prepared[TextEmbedInputs, EmbedItem]:
        if item.dimensions is not None and not 1 <= item.dimensions <= self._dimensions:
            raise InvalidValue(
                f"dimensions is {item.dimensions}; this model's vectors have {self._dimensions}", param="dimensions"
            )
        if item.output == "windows":
            raise InvalidValue("a text has no windows; they are of media", param="output")
        content = self._content(item)
        ids, _ = self._encoder.fit(content, self._max_length, truncate=item.truncate, side=item.truncation_side)
        pooling = None if item.output == "tokens" else item.pooling or self._pooling
        return Prepared(TextEmbedInputs(ids, pooling), len(ids), item)

    def _content(self, item: EmbedItem) -> list[int]:
        given = item.input
        if isinstance(given, bytes | DecodedMedia):
            raise InvalidValue("this model embeds text, and the input is a file", param="input")
        if isinstance(given, str):
            text, _ = self._encoder.shorten(given, self._max_length, truncate=item.truncate, side=item.truncation_side)
            content = self._encoder.content_ids(text)
        else:
            content = self._encoder.strip(given)
        if not content and not isinstance(given, str):
            raise EmptyInput("the input holds no token ids", param="input")
        wrong = next((i for i in content if not 0 <= i < self._vocabulary), None)
        if wrong is not None:
            raise InvalidValue(
                f"token id {wrong} is outside this model's vocabulary of {self._vocabulary}", param="input"
            )
        return content

    def collate(self, inputs: Sequence[TextEmbedInputs]) -> TextEmbedBatch:
        return TextEmbedBatch(self.forward.collate([each.ids for each in inputs]), [each.pooling for each in inputs])

    @torch.inference_mode()
    def run(self, batch: TextEmbedBatch) -> list[Floats]:
        if set(batch.poolings) == {Pooling.CLS}:
            return list(self.forward.first_hidden_states(batch.texts).float().cpu().numpy())
        hidden = self.forward.hidden_states(batch.texts).float()  # [tokens, H]
        lengths = torch.tensor(batch.texts.lengths, device=hidden.device)
        pooled = {
            pooling: POOLERS[pooling](hidden, lengths).cpu().numpy()
            for pooling in set(batch.poolings)
            if pooling is not None
        }
        ends = np.cumsum(batch.texts.lengths)
        rows = enumerate(zip(batch.poolings, ends, batch.texts.lengths, strict=True))
        return [hidden[end - n : end].cpu().numpy() if p is None else pooled[p][i] for i, (p, end, n) in rows]

    def finish(self, prepared: Prepared[TextEmbedInputs, EmbedItem], raw: Floats) -> EmbedResult:
        item = prepared.context
        vector = raw[..., : item.dimensions]
        if not np.isfinite(vector).all():
            raise AppError("the model computed numbers that are not finite for this input")
        if self._normalize if item.normalize is None else item.normalize:
            vector = vector / np.maximum(np.linalg.norm(vector, axis=-1, keepdims=True), 1e-12)
        return EmbedResult(vector.astype(np.float32, copy=False), tokens=len(prepared.inputs.ids))
