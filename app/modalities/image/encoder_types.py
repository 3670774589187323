"""Architectures of transformers that encode images, beside those that Cloze trains from scratch. No torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.errors import InvalidModel
from app.modalities.model_files import read_json


@dataclass(frozen=True)
class EncoderType:
    """One architecture.

    model_class: of transformers. With a head for masked images where transformers has one that predicts pixels.
    processor: that transformers takes where the processor file names none.
    special_tokens: tokens before the patches, class token first, without registers.
    any_size: whether the model reads images of another size than its configuration's.
    predicts: what the architecture predicts of masked patches, where that is not their pixels.
    """

    model_class: str
    processor: str
    special_tokens: int = 1
    any_size: bool = False
    predicts: str = "nothing"

    def first_patch(self, config: Mapping[str, Any]) -> int:
        """Tokens before the patches, registers included."""
        return self.special_tokens + int(config.get("num_register_tokens") or 0)


_CLIP = EncoderType("CLIPVisionModel", "CLIP")
_SIGLIP = EncoderType("SiglipVisionModel", "Siglip", special_tokens=0)

ENCODERS: dict[str, EncoderType] = {
    "beit": EncoderType("BeitModel", "Beit", predicts="visual tokens of another model"),
    "clip": _CLIP,
    "clip_vision_model": _CLIP,
    "data2vec-vision": EncoderType("Data2VecVisionModel", "Beit"),
    "deit": EncoderType("DeiTForMaskedImageModeling", "DeiT", special_tokens=2),
    "dinov2": EncoderType("Dinov2Model", "Bit", any_size=True),
    "dinov2_with_registers": EncoderType("Dinov2WithRegistersModel", "Bit", any_size=True),
    "dinov3_vit": EncoderType("DINOv3ViTModel", "DINOv3ViT", any_size=True),
    "focalnet": EncoderType("FocalNetForMaskedImageModeling", "Bit", special_tokens=0),
    "ijepa": EncoderType("IJepaModel", "ViT", special_tokens=0),
    "siglip": _SIGLIP,
    "siglip_vision_model": _SIGLIP,
    "swin": EncoderType("SwinForMaskedImageModeling", "ViT", special_tokens=0),
    "swinv2": EncoderType("Swinv2ForMaskedImageModeling", "ViT", special_tokens=0),
}


def is_encoder(folder: Path) -> bool:
    """Whether the model in the folder is one of ENCODERS."""
    return read_json(folder / "config.json").get("model_type") in ENCODERS


def cell_size(config: Mapping[str, Any]) -> int:
    """The side of the square that a token of the last stage stands for, in pixels. Raises InvalidModel."""
    patch = config.get("patch_size")
    if not isinstance(patch, int) or patch < 1:
        raise InvalidModel(f"patches of {patch} are not supported: they must be square")
    return int(patch * 2 ** (len(config["depths"]) - 1)) if "depths" in config else patch
