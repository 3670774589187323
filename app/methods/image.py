"""Masked autoencoders (MAE) and masked image modelling (SimMIM)."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from app.errors import InvalidValue
from app.methods.base import Method
from app.methods.patches import DECODER, DecoderHyperparameters, PatchHyperparameters, refuse_fixed, settings_of
from app.types import Modality

MIN_PATCHES = 4
ROOM = 1.25  # images that are to be cropped are kept larger than the model sees them, to stay sharp


class ImageHyperparameters(PatchHyperparameters):
    """Hyperparameters of both image methods. `None` is the preset's or the stored model's own, which is fixed."""

    image_size: int | None = Field(None, ge=16, le=1024, description="Pixels of a side; the preset's")
    patch_size: int | None = Field(
        None, ge=2, le=128, description="Pixels of a side of a patch; divides image_size; the preset's"
    )
    channels: Literal[1, 3] | None = Field(None, description="1 is grey, 3 is RGB; 3")
    mask_strategy: Literal["random", "block", "square"] | None = Field(
        None,
        description="Single patches, rectangles (BEiT), or aligned squares of 2 × 2 patches (SimMIM); the model's own",
    )
    crop: float = Field(
        0.5, gt=0, le=1, description="Least share of the area that a random crop keeps; 1 crops nothing"
    )
    flip: bool = Field(True, description="Turns half of the images left to right")
    color_jitter: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Strength of random changes of brightness, saturation and hue; one in five becomes grey; 0 is off",
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


def vit(
    model_type: str, layers: int, hidden: int, image_size: int | tuple[int, int], patch_size: int
) -> dict[str, Any]:
    return {
        "model_type": model_type,
        "num_hidden_layers": layers,
        "hidden_size": hidden,
        "num_attention_heads": hidden // 64,
        "intermediate_size": hidden * 4,
        "image_size": image_size,
        "patch_size": patch_size,
    }


def decoder(layers: int, hidden: int) -> dict[str, Any]:
    """The part of a ViTMAE configuration that is its decoder's."""
    return {
        "decoder_num_hidden_layers": layers,
        "decoder_hidden_size": hidden,
        "decoder_num_attention_heads": hidden // 32,
        "decoder_intermediate_size": hidden * 4,
    }


def configured(config: Mapping[str, Any], hp: PatchHyperparameters) -> dict[str, Any]:
    """A preset's configuration with the hyperparameters that are the same in all methods of patches."""
    layers, width = getattr(hp, "decoder_layers", None), getattr(hp, "decoder_hidden_size", None)
    changed = dict(config)
    if layers or width:
        changed |= decoder(layers or config["decoder_num_hidden_layers"], width or config["decoder_hidden_size"])
    return changed | settings_of(hp)


def kept_size(size: int, crop: float) -> int:
    """Pixels of a side of decoded images, for a model that sees `size`."""
    return round(size * ROOM) if crop < 1 else size


# Widths are those of ViT-Ti, ViT-S and ViT-B; the tiny ones have half the layers, for small images on a processor.
MAE_PRESETS: dict[str, dict[str, Any]] = {
    "mae-tiny": vit("vit_mae", 6, 192, 96, 8) | decoder(2, 128),
    "mae-small": vit("vit_mae", 12, 384, 224, 16) | decoder(4, 256),
    "mae-base": vit("vit_mae", 12, 768, 224, 16) | decoder(8, 512),
}
SIMMIM_PRESETS: dict[str, dict[str, Any]] = {
    "simmim-tiny": vit("vit", 6, 192, 96, 8),
    "simmim-small": vit("vit", 12, 384, 224, 16),
}

METHODS = {
    "mae": Method(Modality.IMAGE, MaeHyperparameters, MAE_PRESETS, frozenset({"vit_mae"})),
    "simmim": Method(Modality.IMAGE, SimMimHyperparameters, SIMMIM_PRESETS, frozenset({"vit"})),
}
