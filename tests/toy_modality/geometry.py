"""Masks, patches and stored rows of sensor series."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.media.lengths import Length
from app.modalities.patch.geometry import Geometry
from app.modalities.patch.grid import PatchGrid
from app.modalities.patch.masking import MaskDefaults, mask_random
from tests.toy_modality.methods import SensorHyperparameters


def mask_span(shape: tuple[int, ...], count: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Patches next to each other in time."""
    mask = np.zeros(shape, dtype=bool)
    start = rng.integers(mask.size - count + 1)
    mask.flat[start : start + count] = True
    return mask


MASKS = MaskDefaults("random", 0.6, {"random": mask_random, "span": mask_span}, eval_ratio=0.6)


def sensor_geometry(config: Mapping[str, Any], hp: SensorHyperparameters) -> Geometry:
    """A row is a reading of all sensors."""
    readings, sensors = config["image_size"]
    readings, patch = hp.window_readings or int(readings), int(config["patch_size"])

    def rows(length: Length) -> int:
        return length.frames

    grid = PatchGrid((readings, sensors), (patch, patch), 1)
    return Geometry(grid, MASKS.of_model(config), (sensors,), "float32", readings, rows)
