"""Images as training stores them."""

from functools import partial
from typing import Literal, cast

from app.media.accepted import IMAGES
from app.media.images import Pixels, decode_image
from app.modalities.patch.decoding import Decoding
from app.modalities.patch.geometry import Geometry
from app.modalities.patch.resize_crop import resize


def image_decoding(geometry: Geometry) -> Decoding:
    """The square in the middle of each image, brought to the stored size."""
    size, _, channels = geometry.row_shape
    decode = partial(_square, size=size, channels=channels)
    return Decoding(IMAGES, f"square {size} {channels}", geometry.row_shape, geometry.dtype, decode)


def _square(data: bytes, *, size: int, channels: int) -> Pixels:
    pixels = decode_image(data, channels=cast(Literal[1, 3], channels))
    height, width = pixels.shape[:2]
    side = min(height, width)
    left, top = (width - side) / 2, (height - side) / 2
    return resize(pixels, size, (left, top, left + side, top + side))[None]
