"""Embeddings of media: one vector an item, or one a patch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from app.errors import AppError, InvalidValue
from app.modalities.base import Prepared
from app.modalities.embedding import EmbedItem, EmbedResult
from app.modalities.patch.decoded_media import DecodedMedia, read_windows
from app.modalities.patch.model import PatchModel, Processor
from app.modalities.patch.normalizer import PatchNormalizer
from app.types import Pooling, Task

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class EmbedBatch:
    pixels: Tensor  # [B, *sizes, C] normalised: all items' windows
    windows: list[int]  # of each item


class Embed:
    """A TaskHandler: EmbedItem → EmbedResult.

    The vector of a long item is the mean over its windows, each as often as it has patches. Padding, which
    the model sees, is pooled nowhere.
    """

    heavy: Literal[True] = True

    def __init__(self, model: PatchModel, space: PatchNormalizer, reader: Processor, modality: str) -> None:
        self._model, self._space, self._reader, self._modality = model, space, reader, modality
        self._dimensions = int(model.model.config.hidden_size)

    def example(self) -> EmbedItem:
        return EmbedItem(self._reader.example())

    def prepare(self, item: EmbedItem) -> Prepared:
        return self.prepare_decoded(item, self.decoding(item)())

    def decoding(self, item: EmbedItem) -> Callable[[], DecodedMedia]:
        if not isinstance(item.input, bytes):
            raise InvalidValue(
                f"this model embeds {self._modality}, not text: send a file as a data URI (data:…;base64,…)",
                param="input",
            )
        if item.dimensions is not None and not 1 <= item.dimensions <= self._dimensions:
            raise InvalidValue(
                f"dimensions is {item.dimensions}; this model's vectors have {self._dimensions}", param="dimensions"
            )
        if item.pooling is Pooling.CLS and not self._model.class_tokens:
            raise InvalidValue("this model has no class token; pooling can be mean or max", param="pooling")
        return partial(read_windows, self._reader, item.input)

    def prepare_decoded(self, item: EmbedItem, decoded: DecodedMedia) -> Prepared:
        tokens = len(decoded.windows) * (self._model.class_tokens + self._space.grid.count)
        return Prepared(decoded.windows, cost=tokens, key=Task.EMBED, info=(item, decoded))

    def collate(self, batch: Sequence[Prepared]) -> EmbedBatch:
        pixels = self._space.normalise(np.concatenate([p.features for p in batch]))
        return EmbedBatch(torch.from_numpy(pixels), [len(p.features) for p in batch])

    @torch.inference_mode()
    def run(self, collated: EmbedBatch) -> list[Floats]:
        """For each item [W, class_tokens + N, H]."""
        model = self._model.model
        hidden = self._model.encode(collated.pixels.to(model.device, model.dtype)).float().cpu().numpy()
        return np.split(hidden, np.cumsum(collated.windows)[:-1])

    def finish(self, prepared: Prepared, raw: Floats) -> EmbedResult:
        item, given = prepared.info
        if not np.isfinite(raw).all():
            raise AppError("the model computed numbers that are not finite for this input")
        vector = self._pool(raw, item, given)[..., : item.dimensions]
        if item.normalize is not False:
            vector = vector / np.maximum(np.linalg.norm(vector, axis=-1, keepdims=True), 1e-12)
        return EmbedResult(vector.astype(np.float32, copy=False), prepared.cost, given.times)

    def _pool(self, hidden: Floats, item: EmbedItem, given: DecodedMedia) -> Floats:
        """[W, class_tokens + N, H] → [H], [W, H] for output="windows", [W × (class_tokens + N), H] for "tokens"."""
        if item.output == "tokens":
            return hidden.reshape(-1, hidden.shape[-1])
        grid, first = self._space.grid, self._model.class_tokens
        counts = [rows * (grid.count // grid.shape[0]) for rows in given.rows(grid)]
        pool: Callable[[Floats, int], Floats] = {
            Pooling.CLS: lambda window, count: window[0],
            Pooling.MEAN: lambda window, count: window[first : first + count].mean(0),
            Pooling.MAX: lambda window, count: window[first : first + count].max(0),
        }[item.pooling or Pooling.MEAN]
        pooled = np.stack([pool(window, count) for window, count in zip(hidden, counts, strict=True)])
        return pooled if item.output == "windows" else np.average(pooled, axis=0, weights=counts)
