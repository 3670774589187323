"""The training half of every objective of patches: predict the masked ones."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from app.methods.patches import VIEWS
from app.modalities.patch.contrast import contrast, encoder_output, pooled
from app.modalities.patch.masking import GridSampler, MaskDefaults, count_masked, mask_random
from app.modalities.patch.model import PatchModel
from app.modalities.patch.normalizer import PatchNormalizer, Scores, decibels
from app.modalities.trainable import Counts, Metrics, Trainable

Sample = NDArray[Any]  # of the dataset: [*any, C], uint8 or float in [0, 1]
# A sample → [*sizes, C], and how much of its first axis is not padding.
Augment = Callable[[Sample, np.random.Generator | None], Sample | tuple[Sample, int]]
_LOSS, _ACCURACY = "contrast_loss", "contrast_accuracy"


@dataclass(frozen=True)
class MaskedItem:
    pixels: Sample  # [*sizes, C], as the dataset's samples are
    mask: NDArray[np.bool_]  # [N]
    rows: int  # of patches that are not padding
    other: "MaskedItem | None" = None  # view of the same item, where items are told apart


@dataclass(frozen=True)
class PatchBatch:
    """A batch of views; two views of an item follow each other. B is the number of views."""

    pixels: Tensor  # [B, *sizes, C] uint8 or float
    targets: Tensor  # [B, n, P] the masked patches of these
    mask: Tensor  # [B, N] bool, n a row
    counted: Tensor  # [B, n] of the masked patches, 1 for those that are not padding
    rows: list[int]  # of each item, of patches that are not padding
    counts: Counts  # counted patches, and items
    tokens: int  # patches of the items, each once

    def to(self, device: torch.device) -> "PatchBatch":
        moved = {f.name: getattr(self, f.name).to(device, non_blocking=True) for f in fields(self) if f.type is Tensor}
        return replace(self, **moved)


class PatchPretraining(Trainable[Sample, MaskedItem, PatchBatch]):
    """Mixed into PatchObjective. `start_training` comes before `mask_sample`."""

    patch_model: PatchModel
    space: PatchNormalizer
    mask_defaults: MaskDefaults
    _sampler: GridSampler
    _ratio: float
    _augment: Augment
    _contrast_weight = 0.0
    measure = "psnr"
    lower_is_better = False

    def start_training(
        self, sampler: GridSampler, ratio: float, augment: Augment, contrast_weight: float = 0.0
    ) -> None:
        """`augment` brings a sample of the dataset to [*sizes, C]; without a generator, always in the same way."""
        self._sampler, self._ratio, self._augment = sampler, ratio, augment
        self._contrast_weight = contrast_weight
        for module in self.patch_model.model.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0  # as in text: slow on a CPU, and what is masked changes with every pass anyway
            elif hasattr(module, "drop_prob"):
                # Stochastic depth, which SimMIM's pretraining does without (arXiv 2111.09886).
                module.drop_prob = 0.0  # type: ignore[assignment]

    def describe_choices(self) -> dict[str, Any]:
        strategies = (name for name, sampler in self.mask_defaults.samplers.items() if sampler is self._sampler)
        return {"mask_ratio": self._ratio, "mask_strategy": next(strategies, "custom")}

    def mask_sample(
        self, sample: Sample, rng: np.random.Generator, *, evaluate: bool = False, fraction: float = 0.0
    ) -> MaskedItem:
        view = self._view(sample, rng, evaluate)
        told_apart = self._contrast_weight and not evaluate
        return replace(view, other=self._view(sample, rng, evaluate)) if told_apart else view

    def _view(self, sample: Sample, rng: np.random.Generator, evaluate: bool) -> MaskedItem:
        grid = self.space.grid
        sampler, ratio = self._sampler, self._ratio
        if evaluate:
            sampler, ratio = (
                self.mask_defaults.samplers[self.mask_defaults.eval_strategy],
                self.mask_defaults.eval_ratio,
            )
        view = self._augment(sample, None if evaluate else rng)
        pixels, length = view if isinstance(view, tuple) else (view, grid.sizes[0])
        rows, count = grid.rows(length), count_masked(grid.count, ratio)
        part = grid.first(rows)
        # Every item of a batch has equally many masked patches. Those that a short item has no room for are padding.
        within = max(count_masked(part.count, ratio), count - (grid.count - part.count))
        mask = np.zeros(grid.shape, dtype=bool)
        mask[:rows] = sampler(part.shape, within, rng)
        if rows < grid.shape[0]:
            mask[rows:] = mask_random((grid.shape[0] - rows, *grid.shape[1:]), count - within, rng)
        return MaskedItem(pixels, mask.reshape(-1), rows)

    def collate_masked(self, samples: Sequence[MaskedItem]) -> PatchBatch:
        views = [view for s in samples for view in (s, s.other) if view is not None]
        pixels = np.stack([v.pixels for v in views])
        targets = np.stack([self.space.grid.cut(v.pixels)[v.mask] for v in views])
        masks = np.stack([v.mask for v in views])
        across = self.space.grid.count // self.space.grid.shape[0]
        counted = np.stack([np.flatnonzero(v.mask) < v.rows * across for v in views])
        return PatchBatch(
            torch.from_numpy(pixels),
            torch.from_numpy(targets),
            torch.from_numpy(masks),
            torch.from_numpy(counted.astype(np.float32)),
            [v.rows for v in views],
            counts=Counts(max(1, int(counted.sum())), len(samples)),
            tokens=len(samples) * self.space.grid.count,
        )

    def forward(self, batch: PatchBatch, whole: Counts | None = None) -> tuple[Tensor, Metrics]:
        whole, count = whole or batch.counts, batch.counts.positions
        with encoder_output(self.patch_model.model) as encoded:
            predicted = self.predict(batch)
        difference = predicted - self._targets(batch)
        errors = (difference.square() if self.space.squared else difference.abs()).mean(-1)
        total = (errors * batch.counted).sum()
        loss, metrics = total / whole.positions, Metrics(float(total.detach()), count=count)
        if not self.patch_model.model.training:
            metrics += Metrics(extra=_sums(self.scored(batch, predicted)))
        elif self._contrast_weight:
            told = contrast(self.embed_views(encoded[0], batch))
            loss = loss + self._contrast_weight * told.loss / whole.items
            extra = {"views": len(batch.rows), _LOSS: VIEWS * float(told.loss.detach()), _ACCURACY: told.right}
            metrics += Metrics(extra=extra)
        return loss, metrics

    def embed_views(self, encoded: Tensor, batch: PatchBatch) -> Tensor:
        """Embeds each view from its visible patches: [B, H]"""
        across = self.space.grid.count // self.space.grid.shape[0]
        rows = torch.tensor(batch.rows, device=encoded.device)
        places = torch.arange(self.space.grid.count, device=encoded.device)
        return pooled(encoded[:, self.patch_model.class_tokens :], ~batch.mask, places < rows[:, None] * across)

    def summarise(self, total: Metrics) -> dict[str, float]:
        """The mean loss; of held-out data the PSNR in dB too, of the model and of the baselines.

        Where items are told apart, how well: a view's mean loss, and the share of views nearest to their item's other.
        """
        if not total.count:
            return {}
        sums = dict(total.extra)
        views, rows = sums.pop("views", 0.0), sums.pop("rows", 0.0)
        told = {name: sums.pop(name) / views for name in (_LOSS, _ACCURACY) if name in sums}
        errors = {name: value / rows for name, value in sums.items()}
        return {"loss": total.loss_sum / total.count, **told, **decibels(errors)}

    def predict(self, batch: PatchBatch) -> Tensor:
        """The masked patches of a batch on the model's device, as the model gives them: [B, n, P] fp32."""
        return self.patch_model.predict(self._normalised(batch.pixels), batch.mask).float()

    def scored(self, batch: PatchBatch, predicted: Tensor) -> list[Scores]:
        """Scores predictions [B, n, P], item by item."""
        windows, masks = as_unit(batch.pixels.cpu().numpy()), batch.mask.cpu().numpy()
        guesses = predicted.detach().cpu().numpy()
        return [self.space.scores(*each) for each in zip(windows, masks, guesses, batch.rows, strict=True)]

    def _normalised(self, pixels: Tensor) -> Tensor:
        """[..., C] of the dataset → what the model reads."""
        mean, std = (torch.from_numpy(v).to(pixels.device) for v in (self.space.mean, self.space.std))
        unit = pixels.float() / 255 if pixels.dtype == torch.uint8 else pixels.float()
        return (unit - mean) / std

    def _targets(self, batch: PatchBatch) -> Tensor:
        """[B, n, P]"""
        space = self.space
        scale, shift = (
            torch.tensor(v, device=batch.targets.device) for v in (space.targets.scale, space.targets.shift)
        )
        pixels = self._normalised(batch.targets.reshape(*batch.targets.shape[:2], -1, space.grid.channels))
        pixels = pixels * scale + shift
        if space.normalises and space.targets.by_channel:
            deviation, mean = torch.std_mean(pixels, -2, keepdim=True)
            pixels = (pixels - mean) / (deviation + 1e-6)
        elif space.normalises:
            variance, mean = torch.var_mean(pixels, (-2, -1), keepdim=True)
            pixels = (pixels - mean) / (variance + 1e-6).sqrt()
        return pixels.flatten(-2)


def as_unit(pixels: Sample) -> NDArray[np.float32]:
    """Values in [0, 1]."""
    unit: NDArray[np.float32] = pixels.astype(np.float32)
    return unit / np.float32(255) if pixels.dtype == np.uint8 else unit


def _sums(scores: Sequence[Scores]) -> dict[str, float]:
    total: dict[str, float] = {"rows": len(scores), "psnr": sum(s.error for s in scores)}
    return total | {f"{name}_psnr": sum(s.baselines[name] for s in scores) for name in scores[0].baselines}
