"""Masked autoencoders for video: VideoMAE."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from app.errors import InvalidValue
from app.methods.base import Method
from app.methods.image import decoder, vit
from app.methods.patches import DECODER, DecoderHyperparameters, refuse_fixed
from app.types import ModalityName

MIN_PATCHES = 4  # in a frame
MIN_TUBELETS = 2  # in a clip
GEOMETRY = ("image_size", "patch_size", "num_frames", "tubelet_size")


class VideoMaeHyperparameters(DecoderHyperparameters):
    """Masked autoencoders for video: arXiv 2203.12602.

    `None` is the value of the preset or the stored model. A stored model keeps its frames and patches.
    """

    image_size: int | None = Field(None, ge=16, le=1024, description="Side of a frame in pixels; the preset's")
    patch_size: int | None = Field(
        None, ge=2, le=128, description="Side of a patch in pixels, a divisor of image_size; the preset's"
    )
    num_frames: int | None = Field(None, ge=2, le=256, description="Number of frames of a clip; the preset's")
    tubelet_size: int | None = Field(
        None, ge=1, le=32, description="Number of frames of a patch. Divides num_frames into at least two; the preset's"
    )
    stride: int | None = Field(
        None, ge=1, le=256, description="Frames of the video from one frame of the clip to the next; the preset's"
    )
    frame_rate: float | None = Field(
        None, gt=0, le=1000, description="Frames per second in which stride counts; each video's own mean"
    )
    strip_frames: int | None = Field(
        None,
        ge=2,
        le=1024,
        description="Number of frames side by side in each data file, if the data are images; the data are videos",
    )
    mask_strategy: Literal["tube", "random", "frame"] | None = Field(
        None,
        description="Shape of the masks: the same patches in every frame (tube), single patches (random), or whole"
        " frames (frame); the model's own",
    )
    crop: float = Field(
        0.5, gt=0, le=1, description="Smallest share of the area that a random crop keeps. 1 disables cropping"
    )
    flip: bool = Field(True, description="Mirror half of the clips horizontally")
    color_jitter: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Strength of random changes of brightness, saturation and hue. One clip in five becomes grey. 0"
        " disables them",
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


def _videomae(layers: int, width: int, image_size: int, patch_size: int, frames: int, stride: int) -> dict[str, Any]:
    clips = {"num_frames": frames, "tubelet_size": 2, "stride": stride, "norm_pix_loss": False}
    return vit("videomae", layers, width, image_size, patch_size) | clips | {"use_mean_pooling": False}


# Widths are those of the image presets, and the decoder is half as wide as the encoder, as in VideoMAE. The tiny
# preset has 2.6 million parameters, for short and small animations on a CPU.
VIDEOMAE_PRESETS: dict[str, dict[str, Any]] = {
    "videomae-tiny": _videomae(5, 192, 64, 8, 8, 1) | decoder(2, 96),
    "videomae-small": _videomae(12, 384, 224, 16, 16, 4) | decoder(4, 192),
    "videomae-base": _videomae(12, 768, 224, 16, 16, 4) | decoder(4, 384),
}

METHODS = {
    "videomae": Method(ModalityName.VIDEO, VideoMaeHyperparameters, VIDEOMAE_PRESETS, frozenset({"videomae"})),
}
