"""Masked autoencoders that watch: VideoMAE."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from app.errors import InvalidValue
from app.methods.base import Method
from app.methods.image import decoder, vit
from app.methods.patches import DECODER, DecoderHyperparameters, refuse_fixed
from app.types import Modality

MIN_PATCHES = 4  # of a frame
MIN_TUBELETS = 2  # of a clip
MAX_CLIPS = 64  # that training takes of one video; a longer one gives so many, spread evenly over it
GEOMETRY = ("image_size", "patch_size", "num_frames", "tubelet_size")


class VideoMaeHyperparameters(DecoderHyperparameters):
    """Masked autoencoders that watch: arXiv 2203.12602.

    `None` is the preset's or the stored model's own; a stored model keeps how it sees.
    """

    image_size: int | None = Field(None, ge=16, le=1024, description="Pixels of a side of a frame; the preset's")
    patch_size: int | None = Field(
        None, ge=2, le=128, description="Pixels of a side of a patch; divides image_size; the preset's"
    )
    num_frames: int | None = Field(None, ge=2, le=256, description="Frames of a clip; the preset's")
    tubelet_size: int | None = Field(
        None, ge=1, le=32, description="Frames that a patch holds; divides num_frames, at least twice; the preset's"
    )
    stride: int | None = Field(
        None, ge=1, le=256, description="Frames of the video from one of the clip to the next; the preset's"
    )
    frame_rate: float | None = Field(
        None, gt=0, le=1000, description="Frames a second that stride counts in; each video's own mean"
    )
    strip_frames: int | None = Field(
        None, ge=2, le=1024, description="The data are images, each a strip of so many frames side by side; off"
    )
    mask_strategy: Literal["tube", "random", "frame"] | None = Field(
        None,
        description="The same patches in every frame, single patches, or all of some moments; the model's own",
    )
    crop: float = Field(
        0.5, gt=0, le=1, description="Least share of the area that a random crop keeps; 1 crops nothing"
    )
    flip: bool = Field(True, description="Turns half of the clips left to right")
    color_jitter: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Strength of random changes of brightness, saturation and hue; one in five becomes grey; 0 is off",
    )

    def check_for(self, config: Mapping[str, Any] | None) -> None:
        if config is None:
            refuse_fixed(self, (*GEOMETRY, "stride", "frame_rate", *DECODER))
            return
        size, patch, frames, tubelet = (getattr(self, name) or config[name] for name in GEOMETRY)
        if size % patch or (size // patch) ** 2 < MIN_PATCHES:
            raise InvalidValue(f"frames of {size} pixels cannot be cut into patches of {patch}", param="patch_size")
        if frames % tubelet or frames < MIN_TUBELETS * tubelet:
            raise InvalidValue(
                f"clips of {frames} frames cannot be cut into {MIN_TUBELETS} tubelets of {tubelet} or more",
                param="tubelet_size",
            )


def _watcher(layers: int, hidden: int, image_size: int, patch_size: int, frames: int, stride: int) -> dict[str, Any]:
    clips = {"num_frames": frames, "tubelet_size": 2, "stride": stride, "norm_pix_loss": False}
    return vit("videomae", layers, hidden, image_size, patch_size) | clips | {"use_mean_pooling": False}


# Widths are those of the image presets, and the decoder is half as wide as the encoder, as in VideoMAE. The tiny
# one, of 2.6 million parameters, is for short and small animations on a processor.
VIDEOMAE_PRESETS: dict[str, dict[str, Any]] = {
    "videomae-tiny": _watcher(5, 192, 64, 8, 8, 1) | decoder(2, 96),
    "videomae-small": _watcher(12, 384, 224, 16, 16, 4) | decoder(4, 192),
    "videomae-base": _watcher(12, 768, 224, 16, 16, 4) | decoder(4, 384),
}

METHODS = {
    "videomae": Method(Modality.VIDEO, VideoMaeHyperparameters, VIDEOMAE_PRESETS, frozenset({"videomae"})),
}
