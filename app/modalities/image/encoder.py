"""A folder of an encoder of images → EncoderObjective, with nothing in it executed."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import PreTrainedModel

from app.errors import InvalidModel
from app.modalities.image.architectures import EncoderOnly, SimMimModel
from app.modalities.image.encoder_processor import EncoderProcessor, load_encoder_processor
from app.modalities.image.encoder_types import ENCODERS, EncoderType
from app.modalities.image.proof import prove_encoder
from app.modalities.model_files import read_config
from app.modalities.patch.checkpoint import load_masked
from app.modalities.patch.grid import PatchGrid
from app.modalities.patch.masking import SAMPLERS, MaskDefaults
from app.modalities.patch.model import PatchModel
from app.modalities.patch.objective import PatchObjective
from app.types import ModalityName

# Tensors that the last hidden states do not depend on. A checkpoint may lack them.
_UNUSED = ("decoder.", "pooler.", "embeddings.mask_token")
_MASKS = MaskDefaults("square", 0.6, SAMPLERS)


class EncoderObjective(PatchObjective):
    """An encoder that embeds, and that reconstructs where the checkpoint has a head for it. It is not trained."""

    modality = ModalityName.IMAGE
    reader: EncoderProcessor

    def __init__(self, patch_model: PatchModel, reader: EncoderProcessor) -> None:
        super().__init__(patch_model, reader, _MASKS, mean=reader.mean, std=reader.std)


def load_encoder(folder: Path, *, dtype: torch.dtype = torch.float32) -> EncoderObjective:
    """Loads one of ENCODERS, in `dtype` on the CPU. One that comes from outside is compared with transformers.

    Raises InvalidModel for everything that cannot be or must not be loaded, and for wrong results.
    """
    config = read_config(folder, ENCODERS, "an encoder of images")
    kind = ENCODERS[str(config["model_type"])]
    model, has_head = _load_model(folder, kind, dtype)
    fields = model.config.to_dict()
    cell = _cell(fields)
    if has_head and int(fields["encoder_stride"]) != cell:
        raise InvalidModel(f"encoder_stride is {fields['encoder_stride']}, and each token is {cell} pixels wide")
    channels = int(fields.get("num_channels", 3))
    reader = load_encoder_processor(folder, kind.processor, lambda side: _grid(side, fields, channels, kind))
    first = kind.first_patch(fields)
    patch_model: PatchModel = (
        SimMimModel(model, decodes=True, class_tokens=first, grid=reader.grid)
        if has_head
        else EncoderOnly(model, reader.grid, class_tokens=first)
    )
    objective = EncoderObjective(patch_model, reader)
    if not (folder / "manifest.json").is_file():
        prove_encoder(patch_model, reader, objective.space, folder)
    return objective


def _load_model(folder: Path, kind: EncoderType, dtype: torch.dtype) -> tuple[PreTrainedModel, bool]:
    """The model, and whether it has a head that predicts pixels; without one, the encoder alone."""
    model_class = getattr(transformers, kind.model_class)
    prefix = f"{model_class.base_model_prefix}."
    unused = (*_UNUSED, *(prefix + name for name in _UNUSED))
    loaded, complete = load_masked(model_class, folder, unused, {}, dtype)
    model: Any = loaded
    has_head = complete and hasattr(model, "decoder")
    if hasattr(model, "decoder") and not has_head:
        model = model.base_model
    if hasattr(model, "pooler"):
        model.pooler = None
    return model, has_head


def _cell(config: Mapping[str, Any]) -> int:
    """The side of the square that a token of the last stage stands for, in pixels."""
    patch = config.get("patch_size")
    if not isinstance(patch, int) or patch < 1:
        raise InvalidModel(f"patches of {patch} are not supported: they must be square")
    return int(patch * 2 ** (len(config["depths"]) - 1)) if "depths" in config else patch


def _grid(side: int, config: Mapping[str, Any], channels: int, kind: EncoderType) -> PatchGrid:
    """The cells of an image of `side` pixels. Raises InvalidModel where the model does not read such images."""
    cell, size = _cell(config), config.get("image_size")
    if channels not in (1, 3):
        raise InvalidModel(f"images of {channels} channels are not supported; 1 and 3 are")
    if not kind.any_size and size not in (side, [side, side], (side, side)):
        raise InvalidModel(f"the processor gives images of {side} pixels, and the model reads {size}")
    if side % cell:
        raise InvalidModel(f"images of {side} pixels in cells of {cell} are not supported: they must be whole")
    return PatchGrid((side, side), (cell, cell), channels)
