"""Embeddings of media: one vector an item, or one a patch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from app.errors import AppError
from app.modalities.base import OneStepHandler, Prepared
from app.modalities.embedding import EmbedItem, EmbedResult, check_media_item, decode_windows, scale_vector
from app.modalities.patch.decoded_media import DecodedMedia
from app.modalities.patch.model import MediaProcessor, PatchModel
from app.modalities.patch.normalizer import PatchNormalizer
from app.types import Pooling

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class PatchEmbedContext:
    item: EmbedItem
    media: DecodedMedia


@dataclass(frozen=True)
class PatchEmbedBatch:
    pixels: Tensor  # [B, *sizes, C] normalised: all items' windows
    windows: list[int]  # of each item


class PatchEmbed(OneStepHandler[EmbedItem, Floats, PatchEmbedContext, PatchEmbedBatch, Floats, EmbedResult]):
    """Embeds media: EmbedItem → EmbedResult. The inputs are an item's windows, [W, *sizes, C] in [0, 1].

    The vector of a long item is the mean over its windows, each as often as it has patches. Padding, which
    the model sees, is pooled nowhere.
    """

    reads_files = True

    def __init__(self, model: PatchModel, space: PatchNormalizer, processor: MediaProcessor, modality: str) -> None:
        self._model, self._space, self._processor, self._modality = model, space, processor, modality
        self._dimensions = model.dimensions

    def example(self) -> EmbedItem:
        return EmbedItem(self._processor.example())

    def decoding(self, item: EmbedItem) -> Callable[[], EmbedItem]:
        class_token = self._model.class_tokens > 0
        check_media_item(item, self._modality, self._dimensions, class_token=class_token)
        return partial(decode_windows, self._processor, item)

    def prepare(self, item: EmbedItem) -> Prepared[Floats, PatchEmbedContext]:
        media = item.input
        if not isinstance(media, DecodedMedia):
            return self.prepare(self.decoding(item)())
        tokens = len(media.windows) * (self._model.class_tokens + self._space.grid.count)
        return Prepared(media.windows, tokens, PatchEmbedContext(item, media))

    def collate(self, inputs: Sequence[Floats]) -> PatchEmbedBatch:
        pixels = self._space.normalise(np.concatenate(inputs))
        return PatchEmbedBatch(torch.from_numpy(pixels), [len(windows) for windows in inputs])

    @torch.inference_mode()
    def run(self, batch: PatchEmbedBatch) -> list[Floats]:
        """For each item [W, class_tokens + N, H]."""
        model = self._model.model
        hidden_states = self._model.encode(batch.pixels.to(model.device, model.dtype)).float().cpu().numpy()
        return np.split(hidden_states, np.cumsum(batch.windows)[:-1])

    def compute_vectors(self, prepared: Sequence[Prepared[Floats, PatchEmbedContext]]) -> Tensor:
        """Pools items by their mean → [B, D] float32, differentiable and not normalized."""
        model = self._model.model
        batch = self.collate([each.inputs for each in prepared])
        hidden_states = self._model.encode(batch.pixels.to(model.device, model.dtype)).float()
        vectors, first = [], self._model.class_tokens
        for windows, row in zip(torch.split(hidden_states, batch.windows), prepared, strict=True):
            counts = self._count_patches(row.context.media)
            patches = [window[first : first + count] for window, count in zip(windows, counts, strict=True)]
            vectors.append(torch.cat(patches).mean(0))
        return torch.stack(vectors)

    def _count_patches(self, media: DecodedMedia) -> list[int]:
        """Returns how many patches of each window are no padding."""
        grid = self._space.grid
        return [rows * (grid.count // grid.shape[0]) for rows in media.rows(grid)]

    def finish(self, prepared: Prepared[Floats, PatchEmbedContext], raw: Floats) -> EmbedResult:
        item, media = prepared.context.item, prepared.context.media
        if not np.isfinite(raw).all():
            raise AppError("the model computed numbers that are not finite for this input")
        vector = self._pool(raw, item, media)[..., : item.dimensions]
        return EmbedResult(scale_vector(vector, item), prepared.cost, media.times)

    def _pool(self, hidden_states: Floats, item: EmbedItem, media: DecodedMedia) -> Floats:
        """[W, class_tokens + N, H] → [H], [W, H] for output="windows", [W × (class_tokens + N), H] for "tokens"."""
        if item.output == "tokens":
            return hidden_states.reshape(-1, hidden_states.shape[-1])
        counts, first = self._count_patches(media), self._model.class_tokens
        pool: Callable[[Floats, int], Floats] = {
            Pooling.CLS: lambda window, count: window[0],
            Pooling.MEAN: lambda window, count: window[first : first + count].mean(0),
            Pooling.MAX: lambda window, count: window[first : first + count].max(0),
        }[item.pooling or Pooling.MEAN]
        pooled = np.stack([pool(window, count) for window, count in zip(hidden_states, counts, strict=True)])
        return pooled if item.output == "windows" else np.average(pooled, axis=0, weights=counts)
