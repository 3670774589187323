"""Masks, patches and stored pixels of images."""

from collections.abc import Mapping
from typing import Any

from app.methods.image import ImageHyperparameters
from app.modalities.patch.geometry import Geometry, kept_size
from app.modalities.patch.grid import PatchGrid
from app.modalities.patch.masking import SAMPLERS, MaskDefaults

MASKS = {"vit_mae": MaskDefaults("random", 0.75, SAMPLERS), "vit": MaskDefaults("square", 0.6, SAMPLERS)}  # the papers'


def image_geometry(config: Mapping[str, Any], hp: ImageHyperparameters) -> Geometry:
    """An image is a row of uint8 [S, S, C]."""
    size, patch = hp.image_size or int(config["image_size"]), hp.patch_size or int(config["patch_size"])
    channels, kept = hp.channels or int(config.get("num_channels", 3)), kept_size(size, hp.crop)
    grid = PatchGrid((size, size), (patch, patch), channels)
    return Geometry(grid, MASKS[config["model_type"]].of_model(config), (kept, kept, channels), "uint8")
