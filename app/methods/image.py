"""Masked autoencoders (MAE) and masked image modelling (SimMIM)."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from app.errors import InvalidValue
from app.methods.base import Method
from app.methods.patches import DECODER, DecoderHyperparameters, PatchHyperparameters, refuse_fixed, settings_of
from app.types import ModalityName

MIN_PATCHES = 4


class ImageHyperparameters(PatchHyperparameters):
    """Hyperparameters of both image methods. `None` is the value of the preset or the stored model."""

    image_size: int | None = Field(None, ge=16, le=1024, description="Side of an image in pixels; the preset's")
    patch_size: int | None = Field(
        None, ge=2, le=128, description="Side of a patch in pixels, a divisor of image_size; the preset's"
    )
    channels: Literal[1, 3] | None = Field(None, description="Channels of an image: 1 for grey, 3 for RGB; 3")
    mask_strategy: Literal["random", "block", "square"] | None = Field(
        None,
        description="Shape of the masks: single patches (random), rectangles (block, as in BEiT), or aligned squares of"
        " 2 × 2 patches (square, as in SimMIM); the model's own",
    )
    crop: float = Field(
        0.5, gt=0, le=1, description="Smallest share of the area that a random crop keeps. 1 disables cropping"
    )
    flip: bool = Field(True, description="Mirror half of the images horizontally")
    color_jitter: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Strength of random changes of brightness, saturation and hue. One image in five becomes grey. 0"
        " disables them",
    )

    def check_for(self, config: Mapping[str, Any] | None) -> None:
        if config is None:
            refuse_fixed(self, ("image_size", "patch_size", "channels", *DECODER))
        else:
            size, patch = self.image_size or config["image_size"], self.patch_size or config["patch_size"]
            if size % patch or (size // patch) ** 2 < MIN_PATCHES:
                raise InvalidValue(f"images of {size} pixels cannot be cut into patches of {patch}", param="patch_size")


class MaeHyperparameters(ImageHyperparameters, DecoderHyperparameters):
    """Masked autoencoders: arXiv 2111.06377."""


class SimMimHyperparameters(ImageHyperparameters):
    """Masked image modelling: arXiv 2111.09886."""


def vit(model_type: str, layers: int, width: int, image_size: int | tuple[int, int], patch_size: int) -> dict[str, Any]:
    """Returns the configuration of a vision transformer with heads of 64 dimensions."""
    return {
        "model_type": model_type,
        "num_hidden_layers": layers,
        "hidden_size": width,
        "num_attention_heads": width // 64,
        "intermediate_size": width * 4,
        "image_size": image_size,
        "patch_size": patch_size,
    }


def decoder(layers: int, width: int) -> dict[str, Any]:
    """Returns the fields of a ViTMAE configuration that describe its decoder."""
    return {
        "decoder_num_hidden_layers": layers,
        "decoder_hidden_size": width,
        "decoder_num_attention_heads": width // 32,
        "decoder_intermediate_size": width * 4,
    }


def configured(config: Mapping[str, Any], hp: PatchHyperparameters) -> dict[str, Any]:
    """Returns a preset's configuration with the hyperparameters that all methods of patches share."""
    layers, width = getattr(hp, "decoder_layers", None), getattr(hp, "decoder_hidden_size", None)
    changed = dict(config)
    if layers or width:
        changed |= decoder(layers or config["decoder_num_hidden_layers"], width or config["decoder_hidden_size"])
    return changed | settings_of(hp)


# Widths are those of ViT-Ti, ViT-S and ViT-B. The tiny ones have half the layers, for small images on a CPU.
MAE_PRESETS: dict[str, dict[str, Any]] = {
    "mae-tiny": vit("vit_mae", 6, 192, 96, 8) | decoder(2, 128),
    "mae-small": vit("vit_mae", 12, 384, 224, 16) | decoder(4, 256),
    "mae-base": vit("vit_mae", 12, 768, 224, 16) | decoder(8, 512),
}
SIMMIM_PRESETS: dict[str, dict[str, Any]] = {
    "simmim-tiny": vit("vit", 6, 192, 96, 8),
    "simmim-small": vit("vit", 12, 384, 224, 16),
}

# Those of transformers with a linear head that predicts pixels.
SIMMIM_ARCHITECTURES = frozenset({"deit", "focalnet", "swin", "swinv2", "vit"})

METHODS = {
    "mae": Method(ModalityName.IMAGE, MaeHyperparameters, MAE_PRESETS, frozenset({"vit_mae"})),
    "simmim": Method(ModalityName.IMAGE, SimMimHyperparameters, SIMMIM_PRESETS, SIMMIM_ARCHITECTURES),
}
