"""From an image file to what an encoder of transformers sees: the numbers that transformers' own processor gives."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.Image import Resampling

from app.errors import InvalidModel
from app.media.images import decode_image
from app.modalities.image.processor import ImageProcessor
from app.modalities.model_files import read_json
from app.modalities.patch.decoded_media import DecodedMedia
from app.modalities.patch.grid import PatchGrid
from app.modalities.patch.resize_crop import FILE, Box, Source

_WHOLE_FILE = "processor_config.json"  # of images and texts
_MAX_SIDE = 2048  # pixels that a processor may ask for
_MAX_RESIZED = 2**24  # pixels of a whole picture once it is resized


@dataclass(frozen=True)
class ProcessorDefaults:
    """Settings of a processor class of transformers where its file says nothing.

    square: an integer `size` is that of a square, not of the shorter side. crop: the side of the square cut out.
    rescales_first: images are scaled to [0, 1] before they are resized, so that resizing does not round.
    resizes_by_crop: the shorter side becomes `crop` × 256 ÷ 224, whatever `size` says.
    signed: images are scaled to [-1, 1] before they are normalised.
    """

    size: Mapping[str, int]
    resample: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    crops: bool = False
    square: bool = True
    crop: int = 224
    rescales_first: bool = False
    resizes_by_crop: bool = False
    signed: bool = False


_HALF = (0.5, 0.5, 0.5)
_CLIP_MEAN, _CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_SQUARE, _SHORTEST = {"height": 224, "width": 224}, {"shortest_edge": 224}
_CLIP = ProcessorDefaults(_SHORTEST, Resampling.BICUBIC, _CLIP_MEAN, _CLIP_STD, crops=True, square=False)

PROCESSORS: dict[str, ProcessorDefaults] = {
    "Beit": ProcessorDefaults(_SQUARE, Resampling.BICUBIC, _HALF, _HALF),
    "Bit": _CLIP,
    "CLIP": _CLIP,
    "DINOv3ViT": ProcessorDefaults(_SQUARE, Resampling.BILINEAR, _IMAGENET_MEAN, _IMAGENET_STD, rescales_first=True),
    "DeiT": ProcessorDefaults({"height": 256, "width": 256}, Resampling.BICUBIC, _HALF, _HALF, crops=True),
    "Siglip": ProcessorDefaults(_SQUARE, Resampling.BICUBIC, _HALF, _HALF, square=False),
    "ViT": ProcessorDefaults(_SQUARE, Resampling.BILINEAR, _HALF, _HALF),
}
# Steps that are always done, or that change no pixel.
_STEPS = {"do_resize", "do_center_crop", "do_rescale", "do_normalize", "do_convert_rgb", "do_reduce_labels"}


@dataclass(frozen=True)
class EncoderProcessor(ImageProcessor):
    """The Processor of encoders' images.

    kind: the processor's class, without its ending. resized: (height, width) to which images are brought, or the
    length of the shorter side, before the square in the middle is cut out. rescales_first: as in ProcessorDefaults.
    config: the processor file.
    """

    kind: str = "ViT"
    resized: tuple[int, int] | int = 224
    rescales_first: bool = False
    config: Mapping[str, Any] = field(default_factory=dict)

    def source(self, width: int, height: int) -> Source:
        """The part of the picture that the model sees."""
        wide, tall = self.resized_sides(width, height)
        left, right = _span(wide, self.size, width)
        top, bottom = _span(tall, self.size, height)
        return Source(width, height, (left, top, right, bottom))

    def read(self, content: bytes) -> DecodedMedia:
        pixels = decode_image(content, channels=cast(Literal[1, 3], self.grid.channels))
        return DecodedMedia(self.prepare(pixels)[None], info=self.source(pixels.shape[1], pixels.shape[0]))

    def prepare(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Resizes, crops and scales a picture: uint8 [H, W, C] → [size, size, C] in [0, 1]"""
        height, width = pixels.shape[:2]
        wide, tall = self.resized_sides(width, height)
        if wide * tall > _MAX_RESIZED:
            # The same but for the rounding of pixels, and without a picture of millions of rows in between.
            return self._resize(pixels, (self.size, self.size), self.source(width, height).box)
        seen = self._resize(pixels, (wide, tall), (0, 0, width, height))
        left, top = (wide - self.size) // 2, (tall - self.size) // 2
        return np.ascontiguousarray(seen[top : top + self.size, left : left + self.size])

    def save(self, folder: Path) -> None:
        """Writes the file that it was read from, with the processor's class by its name of today."""
        content = {**self.config, "image_processor_type": f"{self.kind}ImageProcessor"}
        content.pop("feature_extractor_type", None)
        (folder / FILE).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")

    def resized_sides(self, width: int, height: int) -> tuple[int, int]:
        """Width and height to which a picture is brought before the square is cut out."""
        if isinstance(self.resized, tuple):
            return self.resized[1], self.resized[0]
        short = min(width, height)
        return int(self.resized * width / short), int(self.resized * height / short)

    def _resize(self, pixels: NDArray[np.uint8], size: tuple[int, int], box: Box) -> NDArray[np.float32]:
        """The box of uint8 [H, W, C] as [height, width, C] in [0, 1]; size is (width, height)."""
        # Pillow rounds bytes and does not round floats.
        given = pixels.astype(np.float32) / np.float32(255) if self.rescales_first else pixels
        planes = [Image.fromarray(each) for each in np.moveaxis(given, -1, 0)]
        resized = np.stack([np.asarray(each.resize(size, Resampling(self.resample), box=box)) for each in planes], -1)
        return resized if resized.dtype == np.float32 else resized.astype(np.float32) / np.float32(255)


def _span(resized: int, kept: int, given: int) -> tuple[float, float]:
    """The middle `kept` of `resized` pixels, in the `given` pixels of the picture."""
    first = (resized - kept) // 2
    return first * given / resized, min((first + kept) * given / resized, float(given))


def load_encoder_processor(folder: Path, fallback: str, grid: Callable[[int], PatchGrid]) -> EncoderProcessor:
    """Reads the folder's processor file.

    fallback: the class where the file names none. grid: gives the grid of an image of a side, in pixels.
    Raises InvalidModel for a missing file, and for a step that is not supported.
    """
    return parse_processor(_read_config(folder), PROCESSORS, fallback, grid)


def parse_processor(
    config: Mapping[str, Any],
    processors: Mapping[str, ProcessorDefaults],
    fallback: str,
    grid: Callable[[int], PatchGrid],
) -> EncoderProcessor:
    """Reads the settings of one of `processors`. Raises InvalidModel for a step that is not supported."""
    kind = _kind(config, processors, fallback)
    try:
        resized, side = _sizes(config, processors[kind])
        return _processor(config, processors[kind], kind, resized, grid(side))
    except (TypeError, ValueError, AttributeError, KeyError) as e:
        raise InvalidModel(f"{FILE} of the model folder is not understood: {type(e).__name__} {e}") from e


def _read_config(folder: Path) -> dict[str, Any]:
    """The settings of the image processor, which transformers 5 writes into the file of a whole processor."""
    config = None
    if (folder / FILE).is_file():
        config = read_json(folder / FILE)
    elif (folder / _WHOLE_FILE).is_file() and isinstance(whole := read_json(folder / _WHOLE_FILE), dict):
        config = whole.get("image_processor")
    if not isinstance(config, dict):
        raise InvalidModel(f"the model folder has no {FILE}, so it is not known how its images are prepared")
    return config


def _kind(config: Mapping[str, Any], processors: Mapping[str, ProcessorDefaults], fallback: str) -> str:
    named = (config.get(f"{key}_type") for key in ("video_processor", "image_processor", "feature_extractor"))
    name = str(next(filter(None, named), f"{fallback}ImageProcessor"))
    kind = name.removesuffix("Fast").removesuffix("Pil")
    for ending in ("ImageProcessor", "FeatureExtractor", "VideoProcessor"):
        kind = kind.removesuffix(ending)
    if kind not in processors:
        raise InvalidModel(f"{FILE}: the processor {name} is not supported; {', '.join(sorted(processors))} are")
    return kind


def _sizes(config: Mapping[str, Any], defaults: ProcessorDefaults) -> tuple[tuple[int, int] | int, int]:
    """`resized`, and the side of the square that the model sees."""
    _check_steps(config, defaults)
    square = config.get("default_to_square")
    resized = _size(config.get("size") or defaults.size, square=defaults.square if square is None else bool(square))
    crops = config.get("do_center_crop")
    kept = resized
    if defaults.crops if crops is None else crops:
        kept = _size(config.get("crop_size") or defaults.crop, square=True)
    if isinstance(kept, int) or kept[0] != kept[1]:
        raise InvalidModel(f"{FILE}: the model must see squares, not images of size {kept}")
    if defaults.resizes_by_crop:
        resized = int(kept[0] * 256 / 224)
    least = resized if isinstance(resized, int) else min(resized)
    if not 0 < kept[0] <= min(least, _MAX_SIDE):
        raise InvalidModel(f"{FILE}: squares of {kept[0]} pixels cannot be cut from images of {least}")
    return resized, kept[0]


def _check_steps(config: Mapping[str, Any], defaults: ProcessorDefaults) -> None:
    for step, done in config.items():
        if step.startswith("do_") and done and step not in _STEPS:
            raise InvalidModel(f"{FILE}: {step} is not supported")
    for step in ("do_resize", "do_rescale"):
        if config.get(step) is False:
            raise InvalidModel(f"{FILE}: only {step} of true is supported")
    if config.get("use_square_size"):
        raise InvalidModel(f"{FILE}: use_square_size is not supported")
    levels = 127.5 if defaults.signed else 255
    if not np.isclose(config.get("rescale_factor") or 1 / levels, 1 / levels):
        raise InvalidModel(f"{FILE}: only a rescale_factor of 1/{levels} is supported")
    if defaults.signed and config.get("offset") is False:
        raise InvalidModel(f"{FILE}: only offset of true is supported")


def _size(size: Any, *, square: bool) -> tuple[int, int] | int:
    if isinstance(size, int):
        return (size, size) if square else size
    if isinstance(size, list | tuple):
        height, width = size
        return int(height), int(width)
    used = {key for key, value in size.items() if value is not None}
    if used == {"shortest_edge"}:
        return int(size["shortest_edge"])
    if used == {"height", "width"}:
        return int(size["height"]), int(size["width"])
    raise InvalidModel(f"{FILE}: a size of {', '.join(sorted(used))} is not supported")


def _processor(
    config: Mapping[str, Any],
    defaults: ProcessorDefaults,
    kind: str,
    resized: tuple[int, int] | int,
    grid: PatchGrid,
) -> EncoderProcessor:
    normalises = config.get("do_normalize") is not False
    mean = _each(config.get("image_mean") or defaults.mean, grid.channels) if normalises else (0.0,) * grid.channels
    std = _each(config.get("image_std") or defaults.std, grid.channels) if normalises else (1.0,) * grid.channels
    if defaults.signed:  # as values of [0, 1]
        mean, std = tuple((1 + each) / 2 for each in mean), tuple(each / 2 for each in std)
    resample = config.get("resample")
    return EncoderProcessor(
        grid,
        resample=Resampling(defaults.resample if resample is None else resample),
        mean=mean,
        std=std,
        kind=kind,
        resized=resized,
        rescales_first=defaults.rescales_first,
        config=config,
    )


def _each(value: Any, channels: int) -> tuple[float, ...]:
    values = (float(value),) * channels if isinstance(value, int | float) else tuple(map(float, value))
    if len(values) != channels:
        raise InvalidModel(f"{FILE} has {len(values)} channels, and the model {channels}")
    return values
