"""How items are cut for a model, and stored for training: the one place where training and estimates ask."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from app.media.lengths import Length
from app.modalities.patch.grid import PatchGrid
from app.modalities.patch.masking import MaskDefaults

ROOM = 1.25  # pictures that are to be cropped are kept larger than the model sees them, to stay sharp


def one_row(length: Length) -> int:
    return 1


@dataclass(frozen=True)
class Geometry:
    """The geometry of a model's items under a job's hyperparameters.

    grid: what the model sees at once. mask_defaults: how the model is masked by default.
    Training stores an item as a run of rows, each an array of `row_shape` and `dtype`. window: rows of a sample;
    a longer item gives several samples, a shorter one gives one. rows: the rows of an item of a length.
    """

    grid: PatchGrid
    mask_defaults: MaskDefaults
    row_shape: tuple[int, ...]
    dtype: str
    window: int = 1
    rows: Callable[[Length], int] = one_row

    @property
    def row_bytes(self) -> int:
        return math.prod(self.row_shape) * np.dtype(self.dtype).itemsize


def kept_size(size: int, crop: float) -> int:
    """Pixels of a side of stored pictures, for a model that sees `size`."""
    return round(size * ROOM) if crop < 1 else size
