"""A folder of safetensors → VideoObjective, with nothing in it executed."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import VideoMAEForPreTraining

from app.errors import InvalidModel
from app.modalities.model_files import read_config
from app.modalities.patch.checkpoint import load_masked
from app.modalities.video.architectures import HEAD, grid_of, start_decoder
from app.modalities.video.objective import VideoObjective
from app.modalities.video.processor import load_processor

MODEL_TYPES = frozenset({"videomae"})


def load_video(
    folder: Path,
    *,
    new_head: bool = False,
    settings: Mapping[str, Any] | None = None,
    dtype: torch.dtype = torch.float32,
) -> VideoObjective:
    """Loads VideoMAE, or its encoder alone, in `dtype` on the CPU.

    A checkpoint without a decoder embeds only; with `new_head` it is given a random one instead, from
    torch's global generator, for training to fill. `settings` replace fields of its configuration.
    Raises InvalidModel for everything that cannot be or must not be loaded.
    """
    config = read_config(folder, MODEL_TYPES, "a video model")
    _check_geometry(config)
    model, has_head = load_masked(VideoMAEForPreTraining, folder, HEAD, settings or {}, dtype)
    if not has_head and new_head:
        start_decoder(model)
    processor = load_processor(folder, grid_of(model))
    return VideoObjective(model, processor, decodes=has_head or new_head, new_head=new_head and not has_head)


def _check_geometry(config: dict[str, Any]) -> None:
    size, patch = config.get("image_size", 224), config.get("patch_size", 16)
    frames, tubelet = config.get("num_frames", 16), config.get("tubelet_size", 2)
    for what, whole, part in (("frames of {} pixels", size, patch), ("clips of {} frames", frames, tubelet)):
        if not (isinstance(whole, int) and isinstance(part, int) and 0 < part <= whole and whole % part == 0):
            raise InvalidModel(
                f"{what.format(whole)} in patches of {part} are not supported: they must be square and whole"
            )
    if config.get("num_channels", 3) != 3:
        raise InvalidModel(f"videos of {config['num_channels']} channels are not supported; 3 are")
