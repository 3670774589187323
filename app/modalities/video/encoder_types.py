"""Architectures of transformers that encode clips and are not trained here. No torch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from app.modalities.patch.grid import PatchGrid


@dataclass(frozen=True)
class VideoEncoderType:
    """One architecture.

    model_class: of transformers. processor: the class where the processor file names none.
    grid: of a configuration; raises KeyError, TypeError and ValueError where that says too little.
    class_tokens: tokens before the patches. pixels: the name of the model's input. any_length: whether the model reads
    clips of other lengths than its configuration's. arguments: further ones of the forward.
    """

    model_class: str
    processor: str
    grid: Callable[[Mapping[str, Any]], PatchGrid]
    class_tokens: int = 1
    pixels: str = "pixel_values"
    any_length: bool = False
    arguments: Mapping[str, Any] | None = None


def _timesformer(config: Mapping[str, Any]) -> PatchGrid:
    return _grid(config["num_frames"], config["image_size"], (1, *[config["patch_size"]] * 2), config["num_channels"])


def _vivit(config: Mapping[str, Any]) -> PatchGrid:
    return _grid(config["num_frames"], config["image_size"], tuple(config["tubelet_size"]), config["num_channels"])


def _vjepa2(config: Mapping[str, Any]) -> PatchGrid:
    patch = (config["tubelet_size"], *[config["patch_size"]] * 2)
    return _grid(config["frames_per_clip"], config["crop_size"], patch, config["in_chans"])


def _grid(frames: Any, size: Any, patch: tuple[Any, ...], channels: Any) -> PatchGrid:
    sizes = (frames, size, size) if isinstance(size, int) else (frames, *size)
    if channels != 3 or sizes[1] != sizes[2] or patch[1] != patch[2]:
        raise ValueError(f"clips of {channels} channels in {sizes} and patches of {patch}: only RGB and squares are")
    return PatchGrid(tuple(map(int, sizes)), tuple(map(int, patch)), channels)


VIDEO_ENCODERS: dict[str, VideoEncoderType] = {
    "timesformer": VideoEncoderType("TimesformerModel", "VideoMAE", _timesformer),
    "vivit": VideoEncoderType("VivitModel", "Vivit", _vivit),
    "vjepa2": VideoEncoderType(
        "VJEPA2Model",
        "VJEPA2",
        _vjepa2,
        class_tokens=0,
        pixels="pixel_values_videos",
        any_length=True,
        arguments={"skip_predictor": True},
    ),
}
