"""Between pixels in [0, 1] and the numbers that a model reads and predicts: pure NumPy."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from app.objectives.patches import (
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
    """Of one window. Errors are mean squares over the hidden patches' pixels, in [0, 1]."""

    loss: float
    error: float
    baselines: Mapping[str, float]
    predicted: Floats  # [*sizes, C], visible patches as they were


def decibels(errors: Mapping[str, float]) -> dict[str, float]:
    return {name: psnr(error) for name, error in errors.items()}


@dataclass(frozen=True)
class PatchSpace:
    """mean, std: of each channel, [C], as the model's inputs are normalised; the rest as in PatchModel."""

    grid: PatchGrid
    mean: Floats
    std: Floats
    squared: bool
    normalises: bool

    def normalise(self, pixels: Floats) -> Floats:
        """[..., C] in [0, 1] → what the model reads."""
        return ((pixels - self.mean) / self.std).astype(np.float32)

    def scores(self, window: Floats, hidden: Bools, predicted: Floats, rows: int | None = None) -> Scores:
        """What a prediction is worth.

        window [*sizes, C] in [0, 1]; hidden [N]; predicted [hidden, P] as the model gave it. rows: of patches
        that count, from the first on; the others are padding, which no figure is to know of.
        """
        if rows is not None and rows < self.grid.shape[0]:
            part = replace(self, grid=self.grid.first(rows))
            end, seen = part.grid.sizes[0], hidden[: part.grid.count]
            scores = part.scores(window[:end], seen, predicted[: seen.sum()])
            return replace(scores, predicted=np.concatenate([scores.predicted, window[end:]]))
        patches = self.grid.cut(self.normalise(window))
        target = normalise_patches(patches)[0][hidden] if self.normalises else patches[hidden]
        difference = predicted - target
        loss = np.square(difference).mean() if self.squared else np.abs(difference).mean()
        known = ~self.grid.enlarge(hidden)
        guesses = {"mean": mean_fill(window, known), "interpolation": interpolate(window, known)}
        whole = self._paste(window, hidden, self._pixels(patches, hidden, predicted))
        error, *others = (float(np.square(guess - window)[~known].mean()) for guess in (whole, *guesses.values()))
        return Scores(float(loss), error, dict(zip(guesses, others, strict=True)), whole)

    def _pixels(self, patches: Floats, hidden: Bools, predicted: Floats) -> Floats:
        """What the model predicted, in [0, 1]. [hidden, P] → [hidden, P]"""
        if self.normalises:
            mean, deviation = statistics_around(patches, hidden, self.grid.shape)
            predicted = predicted * deviation + mean
        pixels = predicted.reshape(len(predicted), -1, self.grid.channels) * self.std + self.mean
        clipped: Floats = np.clip(pixels, 0, 1).reshape(predicted.shape)
        return clipped

    def _paste(self, window: Floats, hidden: Bools, pixels: Floats) -> Floats:
        patches = self.grid.cut(window).copy()
        patches[hidden] = pixels
        return self.grid.join(patches)
