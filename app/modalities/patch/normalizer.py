"""Between pixels in [0, 1] and the numbers that a model reads and predicts: pure NumPy."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from app.modalities.patch.grid import (
    PatchGrid,
    interpolate,
    mean_fill,
    normalise_patches,
    psnr,
    statistics_around,
)

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Scores:
    """The scores of one window. Errors are mean squares over the masked patches' pixels, in [0, 1]."""

    loss: float
    error: float
    baselines: Mapping[str, float]
    predicted: Floats  # [*sizes, C], visible patches as they were


def decibels(errors: Mapping[str, float]) -> dict[str, float]:
    return {name: psnr(error) for name, error in errors.items()}


@dataclass(frozen=True)
class Targets:
    """How what a model predicts differs from what it reads: in each channel it is read × scale + shift.

    by_channel: normalised patches have a mean and a deviation for each channel (VideoMAE), not one for all (MAE).
    """

    scale: tuple[float, ...] = (1.0,)
    shift: tuple[float, ...] = (0.0,)
    by_channel: bool = False


SAME = Targets()


@dataclass(frozen=True)
class PatchNormalizer:
    """mean, std: of each channel, [C], as the model's inputs are normalised; the rest as in PatchModel."""

    grid: PatchGrid
    mean: Floats
    std: Floats
    squared: bool
    normalises: bool
    targets: Targets = SAME

    def normalise(self, pixels: Floats) -> Floats:
        """[..., C] in [0, 1] → what the model reads."""
        return ((pixels - self.mean) / self.std).astype(np.float32)

    def scores(self, window: Floats, mask: Bools, predicted: Floats, rows: int | None = None) -> Scores:
        """Scores a prediction against the window.

        window [*sizes, C] in [0, 1]; mask [N]; predicted [n, P] of the n masked patches, as the model gave it.
        rows: how many rows of patches count, from the first on. The others are padding and change no figure.
        """
        if rows is not None and rows < self.grid.shape[0]:
            part = replace(self, grid=self.grid.first(rows))
            end, seen = part.grid.sizes[0], mask[: part.grid.count]
            scores = part.scores(window[:end], seen, predicted[: seen.sum()])
            return replace(scores, predicted=np.concatenate([scores.predicted, window[end:]]))
        patches = self.grid.cut(self.normalise(window))
        patches = self._to_targets(patches)
        target = normalise_patches(patches, self._own)[0][mask] if self.normalises else patches[mask]
        difference = predicted - target
        loss = np.square(difference).mean() if self.squared else np.abs(difference).mean()
        known = ~self.grid.enlarge(mask)
        guesses = {"mean": mean_fill(window, known), "interpolation": interpolate(window, known)}
        whole = self._paste(window, mask, self._pixels(patches, mask, predicted))
        error, *others = (float(np.square(guess - window)[~known].mean()) for guess in (whole, *guesses.values()))
        return Scores(float(loss), error, dict(zip(guesses, others, strict=True)), whole)

    def _pixels(self, patches: Floats, mask: Bools, predicted: Floats) -> Floats:
        """Converts predictions to pixels in [0, 1]. [n, P] → [n, P]"""
        pixels = predicted.reshape(len(predicted), -1, self.grid.channels)
        if self.normalises:
            mean, deviation = statistics_around(patches, mask, self.grid.shape, self._own)
            pixels = pixels * deviation[:, None] + mean[:, None]
        scale, shift = (np.asarray(v, np.float32) for v in (self.targets.scale, self.targets.shift))
        clipped: Floats = np.clip((pixels - shift) / scale * self.std + self.mean, 0, 1).reshape(predicted.shape)
        return clipped

    @property
    def _own(self) -> int | None:
        """How many channels have a mean and a deviation of their own."""
        return self.grid.channels if self.targets.by_channel else None

    def _to_targets(self, patches: Floats) -> Floats:
        """Converts the model's inputs to its targets before normalization. [N, P] → [N, P]"""
        scale, shift = (np.asarray(v, np.float32) for v in (self.targets.scale, self.targets.shift))
        pixels: Floats = patches.reshape(len(patches), -1, self.grid.channels) * scale + shift
        return pixels.reshape(patches.shape)

    def _paste(self, window: Floats, mask: Bools, pixels: Floats) -> Floats:
        patches = self.grid.cut(window).copy()
        patches[mask] = pixels
        return self.grid.join(patches)
