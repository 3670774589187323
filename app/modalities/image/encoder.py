"""A folder of an encoder of images → EncoderObjective, with nothing in it executed."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
import transformers
from transformers import PreTrainedModel

from app.errors import InvalidModel
from app.modalities.image.architectures import EncoderOnly, SimMimModel, start_head
from app.modalities.image.encoder_processor import EncoderProcessor, load_encoder_processor
from app.modalities.image.encoder_types import ENCODERS, EncoderType, cell_size
from app.modalities.image.geometry import read_mask_defaults
from app.modalities.image.proof import prove_encoder
from app.modalities.model_files import read_config
from app.modalities.patch.checkpoint import load_masked
from app.modalities.patch.grid import PatchGrid
from app.modalities.patch.model import PatchModel
from app.modalities.patch.objective import PatchObjective
from app.types import ModalityName, Task

# Tensors that the last hidden states do not depend on. A checkpoint may lack them.
_UNUSED = ("decoder.", "pooler.", "embeddings.mask_token")


class EncoderObjective(PatchObjective):
    """An encoder that embeds, and that reconstructs and is trained where it has a head for it."""

    modality = ModalityName.IMAGE
    processor: EncoderProcessor

    def __init__(self, patch_model: PatchModel, processor: EncoderProcessor, *, new_head: bool = False) -> None:
        mask_defaults = read_mask_defaults(patch_model.model.config.to_dict())
        super().__init__(
            patch_model, processor, mask_defaults, mean=processor.mean, std=processor.std, new_head=new_head
        )


class _Loaded(NamedTuple):
    model: PreTrainedModel
    has_head: bool  # that predicts pixels; without one, the model is the encoder alone
    new_head: bool


def load_encoder(
    folder: Path,
    *,
    new_head: bool = False,
    settings: Mapping[str, Any] | None = None,
    dtype: torch.dtype = torch.float32,
) -> EncoderObjective:
    """Loads one of ENCODERS, in `dtype` on the CPU. One that comes from outside is compared with transformers.

    A checkpoint without a head embeds only; with `new_head` it is given a random one instead, if its architecture has
    one, from torch's global generator, for training to fill. `settings` replace fields of its configuration.
    Raises InvalidModel for everything that cannot be or must not be loaded, and for wrong results.
    """
    config = read_config(folder, ENCODERS, "an encoder of images")
    kind = ENCODERS[str(config["model_type"])]
    loaded = _load_model(folder, kind, dtype, settings or {}, new_head=new_head)
    fields = loaded.model.config.to_dict()
    cell = cell_size(fields)
    if loaded.has_head and int(fields["encoder_stride"]) != cell:
        raise InvalidModel(f"encoder_stride is {fields['encoder_stride']}, and each token is {cell} pixels wide")
    channels = int(fields.get("num_channels", 3))
    processor = load_encoder_processor(folder, kind.processor, lambda side: _grid(side, fields, channels, kind))
    first = kind.first_patch(fields)
    patch_model: PatchModel = (
        SimMimModel(loaded.model, decodes=True, class_tokens=first, grid=processor.grid)
        if loaded.has_head
        else EncoderOnly(loaded.model, processor.grid, class_tokens=first)
    )
    objective = EncoderObjective(patch_model, processor, new_head=loaded.new_head)
    if not loaded.has_head:
        objective.unsupported = {Task.RECONSTRUCT: _lacking_head(kind)}
    if not (folder / "manifest.json").is_file():
        prove_encoder(patch_model, processor, objective.space, folder)
    return objective


def _lacking_head(kind: EncoderType) -> str:
    """Returns the reason why a model without a head for pixels cannot reconstruct, as the end of a sentence."""
    if kind.model_class.endswith("ForMaskedImageModeling"):
        return "its checkpoint has no head that predicts the pixels of masked patches"
    return f"its architecture predicts {kind.predicts} for masked patches, and no pixels"


def _load_model(
    folder: Path, kind: EncoderType, dtype: torch.dtype, settings: Mapping[str, Any], *, new_head: bool
) -> _Loaded:
    model_class = getattr(transformers, kind.model_class)
    prefix = f"{model_class.base_model_prefix}."
    unused = (*_UNUSED, *(prefix + name for name in _UNUSED))
    loaded, complete = load_masked(model_class, folder, unused, settings, dtype)
    model: Any = loaded
    has_head, starts = hasattr(model, "decoder"), False
    if has_head and not complete:
        has_head = starts = new_head
        if starts:
            start_head(model)
        else:
            model = model.base_model
    if hasattr(model, "pooler"):
        model.pooler = None
    return _Loaded(model, has_head, starts)


def _grid(side: int, config: Mapping[str, Any], channels: int, kind: EncoderType) -> PatchGrid:
    """The cells of an image of `side` pixels. Raises InvalidModel where the model does not read such images."""
    cell, size = cell_size(config), config.get("image_size")
    if channels not in (1, 3):
        raise InvalidModel(f"images of {channels} channels are not supported; 1 and 3 are")
    if not kind.any_size and size not in (side, [side, side], (side, side)):
        raise InvalidModel(f"the processor gives images of {side} pixels, and the model reads {size}")
    if side % cell:
        raise InvalidModel(f"images of {side} pixels in cells of {cell} are not supported: they must be whole")
    return PatchGrid((side, side), (cell, cell), channels)
