"""Image models built from scratch."""

from collections.abc import Mapping
from typing import Any

from transformers import PreTrainedModel, ViTConfig, ViTForMaskedImageModeling

from app.modalities.patch.mae import ViTMAEForPreTraining, build_mae

CLASSES: dict[str, Any] = {"vit_mae": ViTMAEForPreTraining, "vit": ViTForMaskedImageModeling}


def build_preset(config: Mapping[str, Any]) -> PreTrainedModel:
    """A random model of this configuration, from torch's global generator."""
    fields = dict(config)
    model_type = fields.pop("model_type")
    if model_type == "vit_mae":
        return build_mae(fields)
    return ViTForMaskedImageModeling(ViTConfig(**fields, encoder_stride=fields["patch_size"]))
