"""Reconstruction: what a model makes of an item of which it sees only a part."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from app.errors import AppError
from app.modalities.base import OneStepHandler, Prepared
from app.modalities.patch.decoded_media import DecodedMedia
from app.modalities.patch.grid import psnr
from app.modalities.patch.masking import MaskDefaults
from app.modalities.patch.model import PatchModel, Processor
from app.modalities.patch.normalizer import PatchNormalizer, decibels
from app.modalities.reconstruction import (
    ReconstructItem,
    ReconstructResult,
    checked_mask,
    decode_item,
    draw_masks,
    mask_padding,
)

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class ReconstructInputs:
    windows: Floats  # [W, *sizes, C] in [0, 1]
    mask: NDArray[np.bool_]  # [W, N]


@dataclass(frozen=True)
class ReconstructBatch:
    pixels: Tensor  # [B, *sizes, C] normalised: all items' windows
    mask: Tensor  # [B, N]
    windows: list[int]  # of each item


_Prepared = Prepared[ReconstructInputs, DecodedMedia]
Raw = list[Floats]  # for each window [masked, P]


class Reconstruct(
    OneStepHandler[ReconstructItem, ReconstructInputs, DecodedMedia, ReconstructBatch, Raw, ReconstructResult],
):
    """Reconstructs media: ReconstructItem → ReconstructResult."""

    reads_files = True

    def __init__(
        self, model: PatchModel, space: PatchNormalizer, processor: Processor, mask_defaults: MaskDefaults
    ) -> None:
        self._model, self._space, self._processor, self._mask_defaults = model, space, processor, mask_defaults

    def example(self) -> ReconstructItem:
        return ReconstructItem(self._processor.example())

    def decoding(self, item: ReconstructItem) -> Callable[[], ReconstructItem]:
        return partial(decode_item, self._processor, item)

    def prepare(self, item: ReconstructItem) -> _Prepared:
        media = item.content
        if not isinstance(media, DecodedMedia):
            return self.prepare(self.decoding(item)())
        masks = self._make_masks(item, media)
        mask_padding(masks, media.rows(self._space.grid), self._mask_defaults)
        mask = masks.reshape(len(media.windows), -1)
        return Prepared(ReconstructInputs(media.windows, mask), mask.size, media)

    def _make_masks(self, item: ReconstructItem, given: DecodedMedia) -> NDArray[np.bool_]:
        """Places or draws the masks that an item asks for, one a window: [W, *grid]."""
        if item.mask_request.boxes or item.mask_request.ranges:
            placed = self._processor.place(item.mask_request, given)
            filled = np.arange(self._space.grid.shape[0]) < np.array(given.rows(self._space.grid))[:, None]
            checked_mask(placed[filled], "boxes" if item.mask_request.boxes else "ranges")
            return placed
        return draw_masks(item.mask_request, given.rows(self._space.grid), self._space.grid.shape, self._mask_defaults)

    def collate(self, inputs: Sequence[ReconstructInputs]) -> ReconstructBatch:
        pixels = self._space.normalise(np.concatenate([each.windows for each in inputs]))
        mask = np.concatenate([each.mask for each in inputs])
        return ReconstructBatch(torch.from_numpy(pixels), torch.from_numpy(mask), [len(i.windows) for i in inputs])

    @torch.inference_mode()
    def run(self, batch: ReconstructBatch) -> list[Raw]:
        predicted: list[Floats] = [np.zeros(0, np.float32)] * len(batch.mask)
        device = self._model.model.device
        for rows in _of_equal_counts(batch.mask):
            pixels, mask = batch.pixels[rows].to(device), batch.mask[rows].to(device)
            answers = self._model.predict(pixels.to(self._model.model.dtype), mask).float().cpu().numpy()
            for row, answer in zip(rows, answers, strict=True):
                predicted[row] = answer
        ends = np.cumsum(batch.windows)
        return [predicted[end - count : end] for end, count in zip(ends, batch.windows, strict=True)]

    def finish(self, prepared: _Prepared, raw: Raw) -> ReconstructResult:
        inputs, media = prepared.inputs, prepared.context
        if not all(np.isfinite(predicted).all() for predicted in raw):
            raise AppError("the model computed numbers that are not finite for this input")
        grid = self._space.grid
        rows = media.rows(grid)
        across = grid.count // grid.shape[0]
        weights = np.array([mask[: r * across].sum() for mask, r in zip(inputs.mask, rows, strict=True)])
        # A window in which no patch is masked is shown as it is.
        scores = [
            self._space.scores(*each) if weight else None
            for weight, *each in zip(weights, inputs.windows, inputs.mask, raw, rows, strict=True)
        ]

        def mean(values: Sequence[float]) -> float:
            return float(np.average(values, weights=weights[weights > 0]))

        scored = [s for s in scores if s is not None]
        return ReconstructResult(
            mask=np.concatenate([mask.reshape(grid.shape) for mask in inputs.mask])[: sum(rows)],
            loss=mean([s.loss for s in scored]),
            psnr=psnr(mean([s.error for s in scored])),
            baselines=decibels({name: mean([s.baselines[name] for s in scored]) for name in scored[0].baselines}),
            original=np.concatenate(inputs.windows)[: media.length],
            predicted=np.concatenate(
                [window if s is None else s.predicted for window, s in zip(inputs.windows, scores, strict=True)]
            )[: media.length],
            pixel_mask=np.concatenate([grid.enlarge(mask) for mask in inputs.mask])[: media.length],
            tokens=inputs.mask.size,
            info=media.info,
        )


def _of_equal_counts(mask: Tensor) -> list[list[int]]:
    """Groups rows that can share a forward: those with equally many masked patches. Rows without any are left out."""
    groups: dict[int, list[int]] = defaultdict(list)
    for row, count in enumerate(mask.sum(1).tolist()):
        groups[count].append(row)
    return [rows for count, rows in sorted(groups.items()) if count]
