"""A folder of safetensors → ImageObjective, with nothing in it executed."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from app.errors import InvalidModel
from app.objectives.image.architectures import grid_of
from app.objectives.image.builder import CLASSES, start_decoder
from app.objectives.image.objective import ImageObjective
from app.objectives.image.processing import load_reader
from app.objectives.model_files import first_line, read_config

MODEL_TYPES = frozenset(CLASSES)
# What an encoder that was saved without a head for masked images lacks, beside the decoder itself.
_HEAD = ("decoder.", "vit.embeddings.mask_token")


def load_image(folder: Path, *, new_head: bool = False, settings: Mapping[str, Any] | None = None) -> ImageObjective:
    """Loads a masked image model or a bare encoder, in float32 on the CPU.

    A checkpoint without a decoder embeds only; with `new_head` it is given a random one instead, from
    torch's global generator, for training to fill. `settings` replace fields of its configuration.
    Raises InvalidModel for everything that cannot be or must not be loaded.
    """
    config = read_config(folder, MODEL_TYPES, "an image model")
    _check_geometry(config)
    model, has_head = _load_model(folder, str(config["model_type"]), settings or {})
    if not has_head and new_head and model.config.model_type == "vit_mae":
        start_decoder(model)
    reader = load_reader(folder, grid_of(model))
    return ImageObjective(model, reader, decodes=has_head or new_head, new_head=new_head and not has_head)


def _check_geometry(config: dict[str, Any]) -> None:
    size, patch = config.get("image_size", 224), config.get("patch_size", 16)
    if not (isinstance(size, int) and isinstance(patch, int) and 0 < patch <= size and size % patch == 0):
        raise InvalidModel(f"images of {size} in patches of {patch} are not supported: they must be square and whole")
    if config.get("num_channels", 3) not in (1, 3):
        raise InvalidModel(f"images of {config['num_channels']} channels are not supported; 1 and 3 are")


def _load_model(folder: Path, model_type: str, settings: Mapping[str, Any]) -> tuple[PreTrainedModel, bool]:
    """The masked model and whether the checkpoint had its decoder."""
    try:
        model, found = CLASSES[model_type].from_pretrained(
            folder,
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
            dtype=torch.float32,
            output_loading_info=True,
        )
        for name, value in settings.items():
            setattr(model.config, name, value)
    except Exception as e:  # every parser and every shape check below it has errors of its own
        raise InvalidModel(f"the model cannot be loaded: {first_line(e)}") from e
    missing = sorted(found["missing_keys"])
    inside = [key for key in missing if not key.startswith(_HEAD)]
    if inside:
        raise InvalidModel(f"the model's weights lack {len(inside)} tensors of its encoder, {inside[0]} first")
    return model, not missing
