"""Drawn figures that act somewhere in a real scene: what a model of video has to look for before it can tell.

In the packed sprites every figure stands at the same place on black, so that single pixels tell their actions
apart. Here each is put at a size and a place of its own into a cut of a real clip, as one would find it in a
video, drawn by a seed.
"""

import io
import random
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app.media.frames import Frames, even_indices
from app.media.video import open_video

SIDE, FRAMES = 64, 8
SCALES = (0.6, 1.0)  # of a figure's own size
NARROWEST = 0.5  # least share of a clip's short side that a cut of it keeps


def compose(strips: Sequence[tuple[bytes, bool]], clips: Sequence[tuple[bytes, bool]], seed: int) -> Iterator[Frames]:
    """Of each packed sprite a scene, uint8 [FRAMES, SIDE, SIDE, 3].

    Both come with whether they are held out; what is held out is put in front of what is.
    """
    draw = random.Random(seed)
    behind = {held: [_decoded(content) for content, out in clips if out == held] for held in (False, True)}
    for strip, held_out in strips:
        figure = _figure(strip, draw.uniform(*SCALES))
        frames = _cut(draw.choice(behind[held_out]), draw)
        _put(figure, frames, draw)
        yield frames


def _decoded(content: bytes) -> Frames:
    with open_video(content) as video:
        return video.read(even_indices(video.times, video.duration, FRAMES))


def _figure(strip: bytes, scale: float) -> NDArray[np.uint8]:
    """A packed sprite → [FRAMES, h, w, 4], as small as what it shows in any frame. Colour 0 of its palette is empty."""
    image = Image.open(io.BytesIO(strip))
    image.info["transparency"] = 0
    side = round(image.height * scale)
    whole = np.asarray(image.convert("RGBA").resize((side * FRAMES, side), Image.Resampling.BOX))
    frames = np.stack(np.split(whole, FRAMES, axis=1))
    rows, columns = (np.flatnonzero(frames[..., 3].any(axis)) for axis in ((0, 2), (0, 1)))
    return frames[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _cut(clip: Frames, draw: random.Random) -> Frames:
    """A square of all frames, brought to SIDE."""
    side = round(min(clip.shape[1:3]) * draw.uniform(NARROWEST, 1))
    top, left = draw.randint(0, clip.shape[1] - side), draw.randint(0, clip.shape[2] - side)
    box = (left, top, left + side, top + side)
    return np.stack([np.asarray(Image.fromarray(f).resize((SIDE, SIDE), Image.Resampling.BICUBIC, box)) for f in clip])


def _put(figure: NDArray[np.uint8], frames: Frames, draw: random.Random) -> None:
    height, width = figure.shape[1:3]
    top, left = draw.randint(0, SIDE - height), draw.randint(0, SIDE - width)
    place = frames[:, top : top + height, left : left + width]
    alpha = figure[..., 3:] / 255
    place[:] = (place * (1 - alpha) + figure[..., :3] * alpha).round().astype(np.uint8)
