"""Reconstruction: what a model makes of an item of which it sees only a part."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from app.errors import AppError
from app.modalities.base import Prepared
from app.modalities.patch.decoded_media import DecodedMedia
from app.modalities.patch.grid import psnr
from app.modalities.patch.masking import MaskDefaults
from app.modalities.patch.model import PatchModel, Processor
from app.modalities.patch.normalizer import PatchNormalizer, decibels
from app.modalities.reconstruction import (
    ReconstructItem,
    ReconstructResult,
    checked_mask,
    draw_masks,
    hide_padding,
)
from app.types import Task

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class ReconstructFeatures:
    windows: Floats  # [W, *sizes, C] in [0, 1]
    hidden: NDArray[np.bool_]  # [W, N]


@dataclass(frozen=True)
class ReconstructBatch:
    pixels: Tensor  # [B, *sizes, C] normalised: all items' windows
    hidden: Tensor  # [B, N]
    windows: list[int]  # of each item


class Reconstruct:
    """A TaskHandler: ReconstructItem → ReconstructResult."""

    heavy: Literal[True] = True

    def __init__(self, model: PatchModel, space: PatchNormalizer, reader: Processor, masks: MaskDefaults) -> None:
        self._model, self._space, self._reader, self._masks = model, space, reader, masks

    def example(self) -> ReconstructItem:
        return ReconstructItem(self._reader.example())

    def prepare(self, item: ReconstructItem) -> Prepared:
        return self.prepare_decoded(item, self.decoding(item)())

    def decoding(self, item: ReconstructItem) -> Callable[[], DecodedMedia]:
        return partial(self._reader.read, item.content)

    def prepare_decoded(self, item: ReconstructItem, decoded: DecodedMedia) -> Prepared:
        masks = self._hidden(item, decoded)
        hide_padding(masks, decoded.rows(self._space.grid), self._masks)
        hidden = masks.reshape(len(decoded.windows), -1)
        return Prepared(
            ReconstructFeatures(decoded.windows, hidden), cost=hidden.size, key=Task.RECONSTRUCT, info=decoded
        )

    def _hidden(self, item: ReconstructItem, given: DecodedMedia) -> NDArray[np.bool_]:
        """[W, *grid]"""
        if item.mask.boxes or item.mask.ranges:
            placed = self._reader.place(item.mask, given)
            filled = np.arange(self._space.grid.shape[0]) < np.array(given.rows(self._space.grid))[:, None]
            checked_mask(placed[filled], "boxes" if item.mask.boxes else "ranges")
            return placed
        return draw_masks(item.mask, given.rows(self._space.grid), self._space.grid.shape, self._masks)

    def collate(self, batch: Sequence[Prepared]) -> ReconstructBatch:
        features: list[ReconstructFeatures] = [p.features for p in batch]
        pixels = self._space.normalise(np.concatenate([f.windows for f in features]))
        hidden = np.concatenate([f.hidden for f in features])
        return ReconstructBatch(torch.from_numpy(pixels), torch.from_numpy(hidden), [len(f.windows) for f in features])

    @torch.inference_mode()
    def run(self, collated: ReconstructBatch) -> list[list[Floats]]:
        """For each item and window [hidden, P]."""
        predicted: list[Floats] = [np.zeros(0, np.float32)] * len(collated.hidden)
        device = self._model.model.device
        for rows in _of_equal_counts(collated.hidden):
            pixels, hidden = collated.pixels[rows].to(device), collated.hidden[rows].to(device)
            answers = self._model.predict(pixels.to(self._model.model.dtype), hidden).float().cpu().numpy()
            for row, answer in zip(rows, answers, strict=True):
                predicted[row] = answer
        ends = np.cumsum(collated.windows)
        return [predicted[end - count : end] for end, count in zip(ends, collated.windows, strict=True)]

    def finish(self, prepared: Prepared, raw: Sequence[Floats]) -> ReconstructResult:
        features: ReconstructFeatures = prepared.features
        given: DecodedMedia = prepared.info
        if not all(np.isfinite(predicted).all() for predicted in raw):
            raise AppError("the model computed numbers that are not finite for this input")
        grid = self._space.grid
        rows = given.rows(grid)
        across = grid.count // grid.shape[0]
        weights = np.array([h[: r * across].sum() for h, r in zip(features.hidden, rows, strict=True)])
        # A window of which a box hides nothing is shown as it is.
        scores = [
            self._space.scores(*each) if weight else None
            for weight, *each in zip(weights, features.windows, features.hidden, raw, rows, strict=True)
        ]

        def mean(values: Sequence[float]) -> float:
            return float(np.average(values, weights=weights[weights > 0]))

        scored = [s for s in scores if s is not None]
        return ReconstructResult(
            mask=np.concatenate([hidden.reshape(grid.shape) for hidden in features.hidden])[: sum(rows)],
            loss=mean([s.loss for s in scored]),
            psnr=psnr(mean([s.error for s in scored])),
            baselines=decibels({name: mean([s.baselines[name] for s in scored]) for name in scored[0].baselines}),
            original=np.concatenate(features.windows)[: given.length],
            predicted=np.concatenate(
                [window if s is None else s.predicted for window, s in zip(features.windows, scores, strict=True)]
            )[: given.length],
            hidden=np.concatenate([grid.enlarge(hidden) for hidden in features.hidden])[: given.length],
            tokens=features.hidden.size,
            info=given.info,
        )


def _of_equal_counts(hidden: Tensor) -> list[list[int]]:
    """Rows that can share a forward: those that hide equally many patches, and some."""
    groups: dict[int, list[int]] = defaultdict(list)
    for row, count in enumerate(hidden.sum(1).tolist()):
        groups[count].append(row)
    return [rows for count, rows in sorted(groups.items()) if count]
