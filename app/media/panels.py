"""Pictures of a reconstruction: original | hidden parts in grey | predicted."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]

GAP = 4  # white pixels between panels
CONTACTS = 8  # frames of a clip that are shown side by side
GREY = 0.5
SMALLEST = 128  # pixels: smaller panels are enlarged by a whole number
LINE, MAX_LINES = 1024, 64  # frames of a spectrogram that are drawn side by side, and lines of them

# Every ninth of matplotlib's map of this name (CC0), between which it is as good as linear.
VIRIDIS = [(68, 1, 84), (72, 40, 120), (62, 74, 137), (49, 104, 142), (38, 130, 142),
           (31, 158, 137), (53, 183, 121), (109, 205, 89), (180, 222, 44), (253, 231, 37)]  # fmt: skip


def image_panels(original: Floats, hidden: NDArray[np.bool_], predicted: Floats) -> Pixels:
    """original, predicted [H, W, 1 or 3] in [0, 1]; hidden [H, W] → uint8 [H', W', 3], the panels side by side."""
    masked = grey_out(original, hidden)
    return side_by_side([enlarge(to_pixels(panel)) for panel in (original, masked, predicted)])


def spectrogram_panels(original: Floats, hidden: NDArray[np.bool_], predicted: Floats) -> Pixels:
    """Sounds as people draw them: time from left to right, low frequencies at the bottom, loudness as colour.

    original, predicted [T, F, 1] in [0, 1]; hidden [T, F] → uint8 [H, W, 3]. The panels of a short sound stand side
    by side, those of a longer one are stacked. What is longer than LINE frames goes on below, and of what is
    very long some frames are left out.
    """
    panels = spectrograms(original, hidden, predicted, LINE * MAX_LINES)
    frames = panels[0].shape[1]
    if len(panels) * frames <= LINE:
        return side_by_side([enlarge(panel) for panel in panels])
    width = min(LINE, frames)
    lines = [stack([_widened(p[:, at : at + width], width) for p in panels]) for at in range(0, frames, width)]
    return stack(lines)


def spectrograms(
    original: Floats, hidden: NDArray[np.bool_], predicted: Floats, max_frames: int = 4 * LINE
) -> tuple[Pixels, Pixels, Pixels]:
    """The three panels of a sound, a pixel a frame and band; of one longer than `max_frames` some are left out.

    original, predicted [T, F, 1] in [0, 1]; hidden [T, F] → three of uint8 [F, T', 3]
    """
    step = -(-len(original) // max_frames)
    seen, guess, grey = original[::step, ::-1, 0], predicted[::step, ::-1, 0], hidden[::step, ::-1]
    masked = np.where(grey[..., None], np.uint8(round(GREY * 255)), colours(seen))
    first, second, third = (panel.swapaxes(0, 1) for panel in (colours(seen), masked, colours(guess)))
    return first, second, third


def _widened(pixels: Pixels, width: int) -> Pixels:
    return np.pad(pixels, ((0, 0), (0, width - pixels.shape[1]), (0, 0)), constant_values=255)


def colours(values: Floats) -> Pixels:
    """[...] in [0, 1] → uint8 [..., 3] by the map viridis, in which what is higher is brighter."""
    places = np.linspace(0, 1, len(VIRIDIS))
    channels = [np.interp(values, places, channel) for channel in zip(*VIRIDIS, strict=True)]
    return np.round(np.stack(channels, axis=-1)).astype(np.uint8)


def grey_out(values: Floats, hidden: NDArray[np.bool_]) -> Floats:
    """values [..., C] with what is hidden [...] in grey."""
    return np.where(hidden[..., None], np.float32(GREY), values)


def to_pixels(values: Floats) -> Pixels:
    """[..., 1 or 3] in [0, 1] → uint8 [..., 3]"""
    pixels = np.round(np.clip(values, 0, 1) * 255).astype(np.uint8)
    return np.broadcast_to(pixels, (*pixels.shape[:-1], 3))


def enlarge(pixels: Pixels, smallest: int = SMALLEST) -> Pixels:
    """uint8 [H, W, 3], each pixel repeated until the short side has at least about `smallest`."""
    times = max(1, round(smallest / min(pixels.shape[:2])))
    return pixels.repeat(times, 0).repeat(times, 1)


def side_by_side(panels: Sequence[Pixels]) -> Pixels:
    """Panels of one height [H, W, 3], white between them."""
    gap = np.full((len(panels[0]), GAP, 3), 255, np.uint8)
    parts = [part for panel in panels for part in (gap, panel)][1:]
    return np.concatenate(parts, axis=1)


def stack(rows: Sequence[Pixels]) -> Pixels:
    """Pictures of one width [H, W, 3], one above the other, white between them."""
    return side_by_side([row.swapaxes(0, 1) for row in rows]).swapaxes(0, 1)


def moving_panels(original: Floats, hidden: NDArray[np.bool_], predicted: Floats) -> Pixels:
    """As image_panels for each frame: [T, H, W, C], [T, H, W] → uint8 [T, H', W', 3]"""
    return np.stack([image_panels(*each) for each in zip(original, hidden, predicted, strict=True)])


def clip_panels(original: Floats, hidden: NDArray[np.bool_], predicted: Floats) -> Pixels:
    """A contact sheet: up to CONTACTS frames, evenly spread, in three rows: original, hidden parts in grey, predicted.

    original, predicted [T, H, W, C] in [0, 1]; hidden [T, H, W] → uint8 [H', W', 3]
    """
    shown = ((np.arange(min(CONTACTS, len(original))) + 0.5) * len(original) / min(CONTACTS, len(original))).astype(int)
    rows = (original[shown], grey_out(original[shown], hidden[shown]), predicted[shown])
    return stack([side_by_side([enlarge(frame) for frame in to_pixels(row)]) for row in rows])
