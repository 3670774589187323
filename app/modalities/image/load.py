"""A folder of safetensors → ImageObjective, with nothing in it executed."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from app.errors import InvalidModel
from app.modalities.image.builder import CLASSES
from app.modalities.image.geometry import MASKS
from app.modalities.image.objective import ImageObjective
from app.modalities.image.processor import load_processor
from app.modalities.model_files import read_config
from app.modalities.patch.checkpoint import load_masked
from app.modalities.patch.mae import HEAD, grid_of, start_decoder


def load_image(
    folder: Path,
    *,
    new_head: bool = False,
    settings: Mapping[str, Any] | None = None,
    dtype: torch.dtype = torch.float32,
) -> ImageObjective:
    """Loads a masked image model or a bare encoder, in `dtype` on the CPU.

    A checkpoint without a decoder embeds only; with `new_head` it is given a random one instead, from
    torch's global generator, for training to fill. `settings` replace fields of its configuration.
    Raises InvalidModel for everything that cannot be or must not be loaded.
    """
    config = read_config(folder, MASKS, "an image model")
    _check_geometry(config)
    model, has_head = load_masked(CLASSES[str(config["model_type"])], folder, HEAD, settings or {}, dtype)
    if not has_head and new_head and model.config.model_type == "vit_mae":
        start_decoder(model)
    processor = load_processor(folder, grid_of(model))
    return ImageObjective(model, processor, decodes=has_head or new_head, new_head=new_head and not has_head)


def _check_geometry(config: dict[str, Any]) -> None:
    size, patch = config.get("image_size", 224), config.get("patch_size", 16)
    if not (isinstance(size, int) and isinstance(patch, int) and 0 < patch <= size and size % patch == 0):
        raise InvalidModel(f"images of {size} in patches of {patch} are not supported: they must be square and whole")
    if config.get("num_channels", 3) not in (1, 3):
        raise InvalidModel(f"images of {config['num_channels']} channels are not supported; 1 and 3 are")
