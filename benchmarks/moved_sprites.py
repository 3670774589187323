"""Drawn figures anywhere: what a model of video has to look for before it can tell what they do.

In the packed sprites every figure stands at the same place, so that single pixels tell their actions apart.
Here each is given a size and a place of its own, as one would find it in a video, drawn by a seed.
"""

import io
import random
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE, FRAMES = 64, 8
SCALES = (0.6, 1.0)  # of a figure's own size


def moved(strips: Sequence[bytes], seed: int) -> Iterator[NDArray[np.uint8]]:
    """Packed sprites, eight frames side by side → clips [FRAMES, SIDE, SIDE, 3] on black."""
    draw = random.Random(seed)
    for strip in strips:
        figure = _figure(strip, draw.uniform(*SCALES))
        height, width = figure.shape[1:3]
        top, left = draw.randint(0, SIDE - height), draw.randint(0, SIDE - width)
        frames = np.zeros((FRAMES, SIDE, SIDE, 3), np.uint8)
        frames[:, top : top + height, left : left + width] = figure
        yield frames


def _figure(strip: bytes, scale: float) -> NDArray[np.uint8]:
    """[FRAMES, h, w, 3], as small as what the sprite shows in any frame."""
    image = Image.open(io.BytesIO(strip)).convert("RGB")
    side = round(image.height * scale)
    whole = np.asarray(image.resize((side * FRAMES, side), Image.Resampling.BOX))
    frames = np.stack(np.split(whole, FRAMES, axis=1))
    rows, columns = (np.flatnonzero(frames.any(axis=axes)) for axes in ((0, 2, 3), (0, 1, 3)))
    return frames[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
