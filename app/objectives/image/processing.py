"""From an image file to what a model sees, as the folder's preprocessor_config.json says."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app.errors import InvalidModel, InvalidValue
from app.media.images import Pixels, decode_image, encode_png
from app.media.panels import image_panels
from app.objectives.model_files import read_json
from app.objectives.patch.model import Given
from app.objectives.patches import PatchGrid
from app.objectives.reconstruction import MaskRequest, touched

FILE = "preprocessor_config.json"
Box = tuple[float, float, float, float]  # left, top, right, bottom


@dataclass(frozen=True)
class Source:
    """Where in the image as it was sent the model's square comes from."""

    width: int
    height: int
    box: Box


@dataclass(frozen=True)
class ImageReader:
    """The Reader of images.

    squeeze: the whole image becomes the square, instead of the square in its middle. share: how much of
    that is kept, along each side.
    resample: Pillow's number of the filter. mean, std: of each channel of the model's input.
    """

    grid: PatchGrid
    squeeze: bool = False
    share: float = 1.0
    resample: int = Image.Resampling.BICUBIC
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    std: tuple[float, ...] = (0.5, 0.5, 0.5)

    def read(self, content: bytes) -> Given:
        pixels = decode_image(content, channels=cast(Literal[1, 3], self.grid.channels))
        source = self.source(pixels)
        seen = resize(pixels, self.grid.sizes[0], source.box, self.resample)
        return Given(seen[None].astype(np.float32) / np.float32(255), info=source)

    def source(self, pixels: Pixels) -> Source:
        height, width = pixels.shape[:2]
        across, down = (width, height) if self.squeeze else (min(width, height),) * 2
        left, top = (width - across * self.share) / 2, (height - down * self.share) / 2
        return Source(width, height, (left, top, width - left, height - top))

    def place(self, mask: MaskRequest, given: Given) -> NDArray[np.bool_]:
        if mask.ranges:
            raise InvalidValue("`ranges` are seconds, which an image has none of; use `boxes`", param="ranges")
        source: Source = given.info
        left, top, right, bottom = source.box
        rows, columns = self.grid.shape
        hidden = np.zeros((1, rows, columns), dtype=bool)
        for x0, y0, x1, y1 in mask.boxes:
            if not (0 <= x0 < x1 <= source.width and 0 <= y0 < y1 <= source.height):
                raise InvalidValue(
                    f"the box ({x0:g}, {y0:g}, {x1:g}, {y1:g}) is not (left, top, right, bottom) within"
                    f" the image of {source.width} × {source.height} pixels",
                    param="boxes",
                )
            across = touched(x0 - left, x1 - left, columns, right - left)
            down = touched(y0 - top, y1 - top, rows, bottom - top)
            hidden[0, down, across] = True
        return hidden

    def panels(
        self, original: NDArray[np.float32], hidden: NDArray[np.bool_], predicted: NDArray[np.float32]
    ) -> Pixels:
        return image_panels(original, hidden, predicted)

    def example(self) -> bytes:
        return encode_png(np.zeros((*self.grid.sizes, self.grid.channels), np.uint8))

    def save(self, folder: Path) -> None:
        """In the form that AutoImageProcessor of transformers reads, too."""
        size = self.grid.sizes[0]
        resized = round(size / self.share)
        content = {
            "image_processor_type": "ViTImageProcessor" if self.squeeze and self.share == 1 else "BitImageProcessor",
            "do_resize": True,
            "size": {"height": resized, "width": resized} if self.squeeze else {"shortest_edge": resized},
            "do_center_crop": not (self.squeeze and self.share == 1),
            "crop_size": {"height": size, "width": size},
            "resample": int(self.resample),
            "do_rescale": True,
            "rescale_factor": 1 / 255,
            "do_normalize": True,
            "image_mean": list(self.mean),
            "image_std": list(self.std),
            "do_convert_rgb": self.grid.channels == 3,
        }
        (folder / FILE).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def resize(pixels: Pixels, size: int, box: Box, resample: int = Image.Resampling.BICUBIC) -> Pixels:
    """The box of uint8 [H, W, C] as [size, size, C]."""
    image = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    resized = image.resize((size, size), Image.Resampling(resample), box=box)
    return np.asarray(resized).reshape(size, size, pixels.shape[-1])


def load_reader(folder: Path, grid: PatchGrid) -> ImageReader:
    """By the folder's preprocessor_config.json, or as ViTImageProcessor does without one. Raises InvalidModel."""
    if not (folder / FILE).is_file():
        return ImageReader(grid, True, 1.0, Image.Resampling.BILINEAR, (0.5,) * grid.channels, (0.5,) * grid.channels)
    config = read_json(folder / FILE)
    try:
        return _from_config(config, grid)
    except (TypeError, ValueError, AttributeError) as e:
        raise InvalidModel(f"{FILE} of the model folder is not understood: {type(e).__name__} {e}") from e


def _from_config(config: Mapping[str, Any], grid: PatchGrid) -> ImageReader:
    if config.get("do_rescale", True) and not np.isclose(config.get("rescale_factor", 1 / 255), 1 / 255):
        raise InvalidModel(f"{FILE}: only a rescale_factor of 1/255 is supported")
    normalised = config.get("do_normalize", True)
    mean, std = (_each(config.get(k, 0.5), grid.channels) for k in ("image_mean", "image_std"))
    squeeze, share = _framing(config, grid.sizes[0])
    return ImageReader(
        grid,
        squeeze,
        share,
        int(config.get("resample", Image.Resampling.BILINEAR)),
        mean if normalised else (0.0,) * grid.channels,
        std if normalised else (1.0,) * grid.channels,
    )


def _framing(config: Mapping[str, Any], model_size: int) -> tuple[bool, float]:
    """ImageReader's `squeeze` and `share`: of the size that an image is brought to, how much is cut out."""
    size, crop = config.get("size", model_size), config.get("crop_size", model_size)
    crops = bool(config.get("do_center_crop", False))
    squeeze = "shortest_edge" not in size if isinstance(size, dict) else not crops
    edge, kept = _edge(size), _edge(crop)
    share = kept / edge if crops else 1.0
    if not 0 < share <= 1:
        raise InvalidModel(f"{FILE}: {kept:g} pixels cannot be cut from {edge:g}")
    return squeeze, share


def _edge(size: Any) -> float:
    edge: Any = size.get("shortest_edge") or size.get("height") if isinstance(size, dict) else size
    return float(edge)


def _each(value: float | Sequence[float], channels: int) -> tuple[float, ...]:
    values = (float(value),) * channels if isinstance(value, int | float) else tuple(map(float, value))
    if len(values) not in (1, channels):
        raise InvalidModel(f"{FILE} has {len(values)} channels, and the model {channels}")
    return values if len(values) == channels else values * channels
