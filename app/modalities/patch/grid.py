"""Items cut into patches, and what a model's guess of masked patches is compared with: pure NumPy.

An item is an array [*sizes, C]: an image [H, W, C], a spectrogram [T, F, 1], a clip [T, H, W, C]. In
patches [N, P] it is row by row, each patch flattened with its channels last, as MAE (arXiv 2111.06377)
and VideoMAE (arXiv 2203.12602) order them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]

MAX_PSNR = 100.0  # dB, of a perfect guess
_SMOOTHINGS = 10  # of each grid: more change little
_EPSILON = 1e-6  # of a patch's variance, as in MAE


@dataclass(frozen=True)
class PatchGrid:
    """How items of one shape are cut: `sizes` of an item and of a `patch`, along the same axes."""

    sizes: tuple[int, ...]
    patch: tuple[int, ...]
    channels: int

    def __post_init__(self) -> None:
        if len(self.sizes) != len(self.patch) or any(s % p for s, p in zip(self.sizes, self.patch, strict=True)):
            raise ValueError(f"{self.sizes} cannot be cut into whole patches of {self.patch}")

    @property
    def shape(self) -> tuple[int, ...]:
        """Patches along each axis."""
        return tuple(s // p for s, p in zip(self.sizes, self.patch, strict=True))

    @property
    def count(self) -> int:
        return math.prod(self.shape)

    def rows(self, length: int) -> int:
        """Patches along the first axis that the first `length` places of an item touch."""
        return -(-length // self.patch[0])

    def first(self, rows: int) -> "PatchGrid":
        """Its first `rows` of patches alone."""
        return replace(self, sizes=(rows * self.patch[0], *self.sizes[1:]))

    def cut(self, items: NDArray[Any]) -> NDArray[Any]:
        """[..., *sizes, C] → [..., N, P]"""
        lead = items.shape[: -len(self.sizes) - 1]
        split = [n for pair in zip(self.shape, self.patch, strict=True) for n in pair]
        axes = [*range(0, 2 * len(self.sizes), 2), *range(1, 2 * len(self.sizes), 2), 2 * len(self.sizes)]
        parts = items.reshape(*lead, *split, self.channels)
        return parts.transpose(*range(len(lead)), *(len(lead) + a for a in axes)).reshape(*lead, self.count, -1)

    def join(self, patches: NDArray[Any]) -> NDArray[Any]:
        """[..., N, P] → [..., *sizes, C]"""
        lead, n = patches.shape[:-2], len(self.sizes)
        axes = [axis for pair in zip(range(n), range(n, 2 * n), strict=True) for axis in pair] + [2 * n]
        parts = patches.reshape(*lead, *self.shape, *self.patch, self.channels)
        parts = parts.transpose(*range(len(lead)), *(len(lead) + a for a in axes))
        return parts.reshape(*lead, *self.sizes, self.channels)

    def enlarge(self, mask: Bools) -> Bools:
        """One value a patch → one a pixel: [N] → [*sizes]"""
        grid = mask.reshape(self.shape)
        for axis, times in enumerate(self.patch):
            grid = grid.repeat(times, axis)
        return grid


def position_table(shape: Sequence[int], dimension: int, *, class_token: bool = True) -> Floats:
    """Fixed sine-cosine positions of a two-dimensional grid, as MAE's published weights have them.

    shape (rows, columns) → [1 + rows × columns, dimension], the class token's row being zero: sines and
    cosines of the column in the first half, of the row in the second.
    """
    if dimension % 4:
        raise ValueError(f"the dimension {dimension} is not a multiple of 4")
    rows, columns = (axis.reshape(-1, 1) for axis in np.meshgrid(*map(np.arange, shape), indexing="ij"))
    omega = 1.0 / 10_000 ** (np.arange(dimension // 4) / (dimension // 4))
    table = np.concatenate([f(axis * omega) for axis in (columns, rows) for f in (np.sin, np.cos)], axis=1)
    return np.concatenate([np.zeros((int(class_token), dimension)), table]).astype(np.float32)


def normalise_patches(patches: Floats, channels: int | None = None) -> tuple[Floats, Floats, Floats]:
    """Each patch in its own mean and deviation. [..., P] → ([..., P], mean [..., 1], deviation [..., 1])

    channels: each of so many has its own, as VideoMAE has it; mean and deviation are [..., channels] then.
    """
    if channels is None:
        mean: Floats = patches.mean(-1, keepdims=True)
        deviation: Floats = np.sqrt(patches.var(-1, ddof=1, keepdims=True) + np.float32(_EPSILON))
        return (patches - mean) / deviation, mean, deviation
    pixels = patches.reshape(*patches.shape[:-1], -1, channels)
    mean, deviation = pixels.mean(-2), pixels.std(-2, ddof=1) + np.float32(_EPSILON)
    return ((pixels - mean[..., None, :]) / deviation[..., None, :]).reshape(patches.shape), mean, deviation


def statistics_around(
    patches: Floats, mask: Bools, shape: Sequence[int], channels: int | None = None
) -> tuple[Floats, Floats]:
    """Mean and deviation of masked patches as the visible ones around them suggest. [N, P] → [n, channels] twice

    What a model that predicts normalised patches leaves open; taking the masked patches' own would tell
    it part of the answer. channels: as in normalise_patches.
    """
    _, mean, deviation = normalise_patches(patches, channels)
    values = np.concatenate([mean, deviation], axis=-1)
    filled = interpolate(values.reshape(*shape, -1), ~mask.reshape(tuple(shape))).reshape(values.shape)[mask]
    return filled[:, : mean.shape[-1]], filled[:, mean.shape[-1] :]


def mean_fill(item: Floats, known: Bools) -> Floats:
    """The simplest baseline: every unknown pixel is the mean of the known ones. [*sizes, C], [*sizes] → [*sizes, C]"""
    return np.where(known[..., None], item, item[known].mean(0) if known.any() else 0.5).astype(np.float32)


def interpolate(values: Floats, known: Bools) -> Floats:
    """The stronger baseline: unknown values from the known ones around them, smoothly, by pull-push.

    values [*sizes, C], known [*sizes] → [*sizes, C]. Averages what is known into ever coarser grids until
    nothing is missing, then fills each finer one from the coarser (Gortler et al., The Lumigraph, 1996) and
    smooths what it filled, which comes near to the solution of Laplace's equation. Where nothing is known, 0.5.
    """
    if not known.any():
        return np.full_like(values, 0.5)
    weight = known[..., None].astype(np.float32)
    return _pull_push(np.where(known[..., None], values, np.float32(0)), weight)


def psnr(squared_error: float) -> float:
    """Peak signal-to-noise ratio in dB of a mean squared error, for values in [0, 1]."""
    return min(MAX_PSNR, -10 * math.log10(max(squared_error, 1e-30)))


def _pull_push(total: Floats, weight: Floats) -> Floats:
    """total: the sum of the known values in each cell, weight: how many. [*sizes, C], [*sizes, 1] → [*sizes, C]"""
    mean: Floats = np.divide(total, np.maximum(weight, 1), dtype=np.float32)
    if weight.all() or max(weight.shape) == 1:
        return mean
    coarse = _pull_push(_halve(total), _halve(weight))
    for axis, size in enumerate(weight.shape[:-1]):
        coarse = _stretch(coarse, axis, size)
    known = weight > 0
    for _ in range(_SMOOTHINGS):
        coarse = _neighbours(np.where(known, mean, coarse))
    return np.where(known, mean, coarse)


def _neighbours(values: Floats) -> Floats:
    """Each cell's mean over the cells next to it; those of the border count themselves. [*sizes, C]"""
    total = np.zeros_like(values)
    for axis in range(values.ndim - 1):
        size = values.shape[axis]
        cells = np.arange(size)
        total += values.take(np.maximum(cells - 1, 0), axis) + values.take(np.minimum(cells + 1, size - 1), axis)
    return total / np.float32(2 * (values.ndim - 1))


def _halve(values: Floats) -> Floats:
    """Sums of two neighbours along every axis but the last; an odd one out stays alone."""
    for axis in range(values.ndim - 1):
        size = values.shape[axis]
        values = np.add.reduceat(values, np.arange(0, size, 2), axis=axis)
    return values


def _stretch(values: Floats, axis: int, size: int) -> Floats:
    """Twice as long along one axis, cut to `size`, linearly between the cells' centres."""
    place = np.clip((np.arange(size) + 0.5) / 2 - 0.5, 0, values.shape[axis] - 1)
    low = place.astype(int)
    high = np.minimum(low + 1, values.shape[axis] - 1)
    share = (place - low).astype(np.float32).reshape([-1 if a == axis else 1 for a in range(values.ndim)])
    stretched: Floats = values.take(low, axis) * (1 - share) + values.take(high, axis) * share
    return stretched
