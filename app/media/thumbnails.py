"""Small versions of images, to show many of them."""

import numpy as np
from PIL import Image

from app.media.images import decode_image, encode_webp

SIDE = 64  # pixels
_QUALITY = 70


def make_thumbnail(data: bytes) -> bytes:
    """Returns an image of at most 64 pixels a side as WebP. Raises InvalidData and TooLarge."""
    image = Image.fromarray(decode_image(data))
    image.thumbnail((SIDE, SIDE))
    return encode_webp(np.asarray(image), quality=_QUALITY)
