"""The pixels of a small copy of an image."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app.media.images import decode_image
from app.modalities.plain_features import PlainFeatures

_SIDE = 32  # pixels


def shrink(data: bytes) -> NDArray[np.float32]:
    """Returns the values in [0, 1] of an image of 32 × 32 pixels, [3072]. Raises InvalidData and TooLarge."""
    small = Image.fromarray(decode_image(data)).resize((_SIDE, _SIDE), Image.Resampling.BOX)
    return np.asarray(small, np.float32).reshape(-1) / np.float32(255)


PIXELS = PlainFeatures("PCA of pixels", shrink, components=64)
