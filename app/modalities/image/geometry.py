"""Masks, patches and stored pixels of images."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from app.methods.image import ImageHyperparameters
from app.modalities.image.encoder_types import ENCODERS, cell_size
from app.modalities.patch.geometry import Geometry, kept_size
from app.modalities.patch.grid import PatchGrid
from app.modalities.patch.masking import SAMPLERS, MaskDefaults

_SIMMIM = MaskDefaults("square", 0.6, SAMPLERS)
MASKS = {"vit_mae": MaskDefaults("random", 0.75, SAMPLERS), "vit": _SIMMIM}  # the papers'


def read_mask_defaults(config: Mapping[str, Any]) -> MaskDefaults:
    """Reads how a model with this configuration is masked by default.

    SimMIM's squares are 32 pixels wide, which is one cell where an encoder merges patches.
    """
    merges = replace(_SIMMIM, strategy="random") if "depths" in config else _SIMMIM
    return MASKS.get(config["model_type"], merges).of_model(config)


def image_geometry(config: Mapping[str, Any], hp: ImageHyperparameters) -> Geometry:
    """An image is a row of uint8 [S, S, C]."""
    given = config["image_size"]
    size = hp.image_size or int(given if isinstance(given, int) else given[0])
    stored = cell_size(config) if config["model_type"] in ENCODERS else int(config["patch_size"])
    patch = hp.patch_size or stored
    channels, kept = hp.channels or int(config.get("num_channels", 3)), kept_size(size, hp.crop)
    grid = PatchGrid((size, size), (patch, patch), channels)
    return Geometry(grid, read_mask_defaults(config), (kept, kept, channels), "uint8")
