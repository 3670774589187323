"""A folder of safetensors → AudioObjective, with nothing in it executed."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from app.errors import InvalidModel
from app.methods.audio import MIN_BANDS
from app.modalities.audio.objective import AudioObjective
from app.modalities.audio.processor import load_processor
from app.modalities.model_files import read_config
from app.modalities.patch.checkpoint import load_masked
from app.modalities.patch.mae import HEAD, ViTMAEForPreTraining, grid_of, start_decoder

MODEL_TYPES = frozenset({"vit_mae"})


def load_audio(
    folder: Path,
    *,
    new_head: bool = False,
    settings: Mapping[str, Any] | None = None,
    dtype: torch.dtype = torch.float32,
) -> AudioObjective:
    """As load_image does, for spectrograms: `image_size` is (frames, mel bands), `num_channels` 1.

    Raises InvalidModel for everything that cannot be or must not be loaded.
    """
    config = read_config(folder, MODEL_TYPES, "an audio model")
    _check_geometry(config)
    model, has_head = load_masked(ViTMAEForPreTraining, folder, HEAD, settings or {}, dtype)
    if not has_head and new_head:
        start_decoder(model)
    processor = load_processor(folder, grid_of(model))
    return AudioObjective(model, processor, decodes=has_head or new_head, new_head=new_head and not has_head)


def _check_geometry(config: dict[str, Any]) -> None:
    size, patch = config.get("image_size", 224), config.get("patch_size", 16)
    sizes = size if isinstance(size, list) else [size, size]
    whole = isinstance(patch, int) and patch > 0 and len(sizes) == 2
    if not (whole and all(isinstance(s, int) and s > 0 and s % patch == 0 for s in sizes)):
        raise InvalidModel(f"spectrograms of {size} (frames, mel bands) cannot be cut into patches of {patch}")
    if sizes[1] < MIN_BANDS * patch:
        raise InvalidModel(f"patches of {patch} leave fewer than {MIN_BANDS} of them in {sizes[1]} mel bands")
    if config.get("num_channels", 3) != 1:
        raise InvalidModel(f"spectrograms have 1 channel; this model has {config.get('num_channels', 3)}")
