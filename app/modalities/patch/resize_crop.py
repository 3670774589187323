"""From pictures of any shape to the square that a model sees, as the folder's preprocessor_config.json says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app.errors import InvalidModel, InvalidValue
from app.media.images import Pixels
from app.modalities.model_files import read_json
from app.modalities.patch.grid import PatchGrid
from app.modalities.reconstruction import MaskRequest, touched

FILE = "preprocessor_config.json"
Box = tuple[float, float, float, float]  # left, top, right, bottom


@dataclass(frozen=True)
class Source:
    """Where in the picture as it was sent the model's square comes from."""

    width: int
    height: int
    box: Box


@dataclass(frozen=True)
class ResizeCrop:
    """Resizing and cropping of images and videos; the last two axes of `grid` are rows and columns.

    squeeze: the whole picture becomes the square, instead of the square in its middle. share: how much of
    that is kept, along each side.
    resample: Pillow's number of the filter. mean, std: of each channel of the model's input.
    """

    grid: PatchGrid
    squeeze: bool = False
    share: float = 1.0
    resample: int = Image.Resampling.BICUBIC
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    std: tuple[float, ...] = (0.5, 0.5, 0.5)

    @property
    def size(self) -> int:
        """The side of the square, in pixels."""
        return self.grid.sizes[-1]

    def source(self, width: int, height: int) -> Source:
        across, down = (width, height) if self.squeeze else (min(width, height),) * 2
        left, top = (width - across * self.share) / 2, (height - down * self.share) / 2
        return Source(width, height, (left, top, width - left, height - top))

    def boxed(self, request: MaskRequest, source: Source) -> NDArray[np.bool_]:
        """The patches that the boxes touch, [rows, columns]. Raises InvalidValue for a box beside the picture."""
        left, top, right, bottom = source.box
        rows, columns = self.grid.shape[-2:]
        mask = np.zeros((rows, columns), dtype=bool)
        for x0, y0, x1, y1 in request.boxes:
            if not (0 <= x0 < x1 <= source.width and 0 <= y0 < y1 <= source.height):
                raise InvalidValue(
                    f"the box ({x0:g}, {y0:g}, {x1:g}, {y1:g}) is not (left, top, right, bottom) within"
                    f" the picture of {source.width} × {source.height} pixels",
                    param="boxes",
                )
            across = touched(x0 - left, x1 - left, columns, right - left)
            down = touched(y0 - top, y1 - top, rows, bottom - top)
            mask[down, across] = True
        return mask

    def to_config(self) -> dict[str, Any]:
        """Without the processor's name, what transformers reads of its file."""
        resized = round(self.size / self.share)
        return {
            "do_resize": True,
            "size": {"height": resized, "width": resized} if self.squeeze else {"shortest_edge": resized},
            "do_center_crop": not (self.squeeze and self.share == 1),
            "crop_size": {"height": self.size, "width": self.size},
            "resample": int(self.resample),
            "do_rescale": True,
            "rescale_factor": 1 / 255,
            "do_normalize": True,
            "image_mean": list(self.mean),
            "image_std": list(self.std),
            "do_convert_rgb": self.grid.channels == 3,
        }


def resize(pixels: Pixels, size: int, box: Box, resample: int = Image.Resampling.BICUBIC) -> Pixels:
    """The box of uint8 [H, W, C] as [size, size, C]."""
    image = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    resized = image.resize((size, size), Image.Resampling(resample), box=box)
    return np.asarray(resized).reshape(size, size, pixels.shape[-1])


def read_processor(folder: Path, grid: PatchGrid) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Returns the folder's processor file and the fields of ResizeCrop by it; None without one. Raises InvalidModel."""
    if not (folder / FILE).is_file():
        return None
    config = read_json(folder / FILE)
    try:
        return config, _framing(config, grid)
    except (TypeError, ValueError, AttributeError) as e:
        raise InvalidModel(f"{FILE} of the model folder is not understood: {type(e).__name__} {e}") from e


def _framing(config: Mapping[str, Any], grid: PatchGrid) -> dict[str, Any]:
    if config.get("do_rescale", True) and not np.isclose(config.get("rescale_factor", 1 / 255), 1 / 255):
        raise InvalidModel(f"{FILE}: only a rescale_factor of 1/255 is supported")
    normalised = config.get("do_normalize", True)
    mean, std = (_each(config.get(k, 0.5), grid.channels) for k in ("image_mean", "image_std"))
    squeeze, share = _square(config, grid.sizes[-1])
    return {
        "squeeze": squeeze,
        "share": share,
        "resample": int(config.get("resample", Image.Resampling.BILINEAR)),
        "mean": mean if normalised else (0.0,) * grid.channels,
        "std": std if normalised else (1.0,) * grid.channels,
    }


def _square(config: Mapping[str, Any], model_size: int) -> tuple[bool, float]:
    """`squeeze` and `share`: of the size that a picture is brought to, how much is cut out."""
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
