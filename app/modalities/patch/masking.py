"""Which patches of a grid are masked: pure NumPy.

A sampler takes the grid's shape, the number of patches to mask and the only source of randomness. It
returns a mask [*shape] with exactly that number of patches. A sampler of clips masks the nearest whole
number of tubes or frames, which is the same for every draw.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.errors import InvalidValue

Bools = NDArray[np.bool_]
GridSampler = Callable[[tuple[int, ...], int, np.random.Generator], Bools]

MIN_ASPECT = 0.3  # of a block's sides, as in BEiT
SQUARE = 2  # patches along the side of SimMIM's squares: 32 pixels of 16-pixel patches


def count_masked(patches: int, ratio: float) -> int:
    """Returns how many of the patches a ratio masks: at least one, and never all."""
    return min(max(round(patches * ratio), 1), patches - 1)


def mask_random(shape: tuple[int, ...], count: int, rng: np.random.Generator) -> Bools:
    """Independent patches (MAE, arXiv 2111.06377)."""
    mask = np.zeros(shape, dtype=bool)
    mask.flat[rng.permutation(mask.size)[:count]] = True
    return mask


def mask_blocks(shape: tuple[int, ...], count: int, rng: np.random.Generator) -> Bools:
    """Rectangles of (rows, columns) that may overlap (BEiT, arXiv 2106.08254); the last one is cut to the count."""
    rows, columns = shape
    mask = np.zeros(shape, dtype=bool)
    smallest = max(2, min(16, rows * columns // 12))
    while (missing := count - int(mask.sum())) > 0:
        area = rng.uniform(smallest, max(smallest, missing))
        aspect = np.exp(rng.uniform(np.log(MIN_ASPECT), -np.log(MIN_ASPECT)))
        height = min(max(1, round(float(np.sqrt(area * aspect)))), rows)
        width = min(max(1, round(float(np.sqrt(area / aspect)))), columns)
        top, left = rng.integers(rows - height + 1), rng.integers(columns - width + 1)
        block = np.zeros(shape, dtype=bool)
        block[top : top + height, left : left + width] = True
        mask.flat[np.flatnonzero(block & ~mask)[:missing]] = True
    return mask


def mask_squares(shape: tuple[int, ...], count: int, rng: np.random.Generator) -> Bools:
    """Aligned squares of SQUARE patches a side (SimMIM, arXiv 2111.09886); the last one is cut to the count."""
    rows, columns = shape
    coarse = -(-columns // SQUARE)
    square = (np.arange(rows)[:, None] // SQUARE) * coarse + np.arange(columns) // SQUARE
    return _earliest(rng.permutation(int(square.max()) + 1)[square], count, np.arange(square.size))


def mask_times(shape: tuple[int, ...], count: int, rng: np.random.Generator) -> Bools:
    """Whole rows, which are moments of a spectrogram (AudioMAE, arXiv 2207.06405); the last one is cut to the count."""
    return _lines(np.broadcast_to(rng.random((shape[0], 1)), shape), count, rng)


def mask_frequencies(shape: tuple[int, ...], count: int, rng: np.random.Generator) -> Bools:
    """Whole columns, which are frequencies of a spectrogram (AudioMAE); the last one is cut to the count."""
    return _lines(np.broadcast_to(rng.random(shape[1]), shape), count, rng)


def mask_times_and_frequencies(shape: tuple[int, ...], count: int, rng: np.random.Generator) -> Bools:
    """Whole rows and whole columns, about the same share of each (AudioMAE); the last one is cut to the count."""
    return _lines(np.minimum(rng.random((shape[0], 1)), rng.random(shape[1])), count, rng)


def _lines(ranks: NDArray[np.float64], count: int, rng: np.random.Generator) -> Bools:
    """Masks by rank, at random among equal ones: a line that is cut is not always cut at the same end."""
    return _earliest(ranks, count, rng.permutation(ranks.size))


def _earliest(ranks: NDArray[Any], count: int, ties: NDArray[np.int64]) -> Bools:
    """Masks the patches of the lowest ranks [*shape]; ties [N] orders those of equal rank."""
    mask = np.zeros(ranks.shape, dtype=bool)
    mask.flat[np.lexsort((ties, ranks.reshape(-1)))[:count]] = True
    return mask


# Those of a two-dimensional grid; what else a modality offers stands with it.
SAMPLERS: dict[str, GridSampler] = {"random": mask_random, "block": mask_blocks, "square": mask_squares}
SPECTROGRAM_SAMPLERS: dict[str, GridSampler] = {
    "random": mask_random,
    "time": mask_times,
    "frequency": mask_frequencies,
    "time-frequency": mask_times_and_frequencies,
}


def sample(
    samplers: Mapping[str, GridSampler], strategy: str, shape: tuple[int, ...], ratio: float, rng: np.random.Generator
) -> Bools:
    """Raises InvalidValue for a strategy that is not among the samplers, or a ratio outside (0, 1)."""
    if strategy not in samplers:
        raise InvalidValue(
            f"mask_strategy {strategy!r} is not one of {', '.join(samplers)}, which this model has",
            param="mask_strategy",
        )
    if not 0 < ratio < 1:
        raise InvalidValue(f"mask_ratio is {ratio:g}; it should be between 0 and 1", param="mask_ratio")
    return samplers[strategy](shape, count_masked(int(np.prod(shape)), ratio), rng)


def mask_tubes(shape: tuple[int, ...], count: int, rng: np.random.Generator) -> Bools:
    """The same patches (rows, columns) in every frame of a clip (VideoMAE, arXiv 2203.12602)."""
    area = int(np.prod(shape[1:]))
    tubes = min(max(round(count / shape[0]), 1), area - 1)
    return np.broadcast_to(mask_random(shape[1:], tubes, rng), shape).copy()


def mask_frames(shape: tuple[int, ...], count: int, rng: np.random.Generator) -> Bools:
    """All of some frames. Raises InvalidValue for a clip of one, of which nothing would be left."""
    if shape[0] < 2:
        raise InvalidValue("a clip of one row of patches in time cannot be masked by frames", param="mask_strategy")
    frames = min(max(round(count / int(np.prod(shape[1:]))), 1), shape[0] - 1)
    mask = np.zeros(shape, dtype=bool)
    mask[rng.permutation(shape[0])[:frames]] = True
    return mask


CLIP_SAMPLERS: dict[str, GridSampler] = {"tube": mask_tubes, "random": mask_random, "frame": mask_frames}


@dataclass(frozen=True)
class MaskDefaults:
    """How a model's items are masked unless asked otherwise, and how they can be.

    samplers: the strategies, by name. eval_strategy, eval_ratio: those of held-out figures, whatever a job trains
    with, so that the figures of jobs can be compared.
    """

    strategy: str
    ratio: float
    samplers: Mapping[str, GridSampler]
    eval_strategy: str = "random"
    eval_ratio: float = 0.75

    def of_model(self, config: Mapping[str, Any]) -> "MaskDefaults":
        """Returns them with what the model was trained with, where its configuration says so."""
        strategy, ratio = config.get("mask_strategy", self.strategy), config.get("mask_ratio", self.ratio)
        return replace(self, strategy=strategy, ratio=float(ratio))
