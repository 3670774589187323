"""From an image file to what a model sees."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app.errors import InvalidValue
from app.media.images import Pixels, decode_image, encode_png
from app.media.panels import image_panels
from app.modalities.patch.decoded_media import DecodedMedia
from app.modalities.patch.grid import PatchGrid
from app.modalities.patch.resize_crop import FILE, ResizeCrop, Source, read_processor, resize
from app.modalities.reconstruction import MaskRequest

__all__ = ["FILE", "ImageProcessor", "load_processor", "resize"]


@dataclass(frozen=True)
class ImageProcessor(ResizeCrop):
    """The Processor of images."""

    def read(self, content: bytes) -> DecodedMedia:
        pixels = decode_image(content, channels=cast(Literal[1, 3], self.grid.channels))
        source = self.source(pixels.shape[1], pixels.shape[0])
        seen = resize(pixels, self.size, source.box, self.resample)
        return DecodedMedia(seen[None].astype(np.float32) / np.float32(255), info=source)

    def place(self, request: MaskRequest, given: DecodedMedia) -> NDArray[np.bool_]:
        if request.ranges:
            raise InvalidValue("`ranges` are in seconds, and an image has no duration; use `boxes`", param="ranges")
        source: Source = given.info
        return self.boxed(request, source)[None]

    def panels(self, original: NDArray[np.float32], mask: NDArray[np.bool_], predicted: NDArray[np.float32]) -> Pixels:
        return image_panels(original, mask, predicted)

    def example(self) -> bytes:
        return encode_png(np.zeros((*self.grid.sizes, self.grid.channels), np.uint8))

    def save(self, folder: Path) -> None:
        """In the form that AutoImageProcessor of transformers reads, too."""
        kind = "ViTImageProcessor" if self.squeeze and self.share == 1 else "BitImageProcessor"
        (folder / FILE).write_text(
            json.dumps({"image_processor_type": kind} | self.to_config(), indent=2) + "\n", "utf-8"
        )


def load_processor(folder: Path, grid: PatchGrid) -> ImageProcessor:
    """By the folder's processor file, or as ViTImageProcessor does without one. Raises InvalidModel."""
    found = read_processor(folder, grid)
    if found is None:
        return ImageProcessor(
            grid, True, 1.0, Image.Resampling.BILINEAR, (0.5,) * grid.channels, (0.5,) * grid.channels
        )
    return ImageProcessor(grid, **found[1])
