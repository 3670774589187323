"""Pictures of a reconstruction in three panels: original | masked parts in grey | predicted."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]

GAP = 4  # white pixels between panels
CONTACTS = 8  # frames of a clip shown side by side
GREY = 0.5
SMALLEST = 128  # pixels; smaller panels are enlarged by an integer factor
LINE, MAX_LINES = 1024, 64  # frames of a spectrogram on one line, and the number of lines

# Ten colours of matplotlib's colormap of this name (CC0), evenly spaced; it is almost linear between them.
VIRIDIS = [(68, 1, 84), (72, 40, 120), (62, 74, 137), (49, 104, 142), (38, 130, 142),
           (31, 158, 137), (53, 183, 121), (109, 205, 89), (180, 222, 44), (253, 231, 37)]  # fmt: skip


def image_panels(original: Floats, mask: NDArray[np.bool_], predicted: Floats) -> Pixels:
    """Draws the panels of an image side by side.

    original, predicted: [H, W, 1 or 3] in [0, 1]. mask: [H, W]. Returns uint8 [H', W', 3].
    """
    masked = grey_out(original, mask)
    return side_by_side([enlarge(to_pixels(panel)) for panel in (original, masked, predicted)])


def spectrogram_panels(original: Floats, mask: NDArray[np.bool_], predicted: Floats) -> Pixels:
    """Draws the spectrogram panels of a sound: time to the right, frequency upwards, loudness as colour.

    original, predicted: [T, F, 1] in [0, 1]. mask: [T, F]. Returns uint8 [H, W, 3]. The panels of a short sound are
    side by side, those of a longer one stacked. Lines wrap after LINE frames. Very long sounds are subsampled.
    """
    panels = spectrograms(original, mask, predicted, LINE * MAX_LINES)
    frames = panels[0].shape[1]
    if len(panels) * frames <= LINE:
        return side_by_side([enlarge(panel) for panel in panels])
    width = min(LINE, frames)
    lines = [stack([_pad_width(p[:, at : at + width], width) for p in panels]) for at in range(0, frames, width)]
    return stack(lines)


def spectrograms(
    original: Floats, mask: NDArray[np.bool_], predicted: Floats, max_frames: int = 4 * LINE
) -> tuple[Pixels, Pixels, Pixels]:
    """Draws the three panels of a sound, one pixel for each frame and band.

    original, predicted: [T, F, 1] in [0, 1]. mask: [T, F]. Returns three uint8 [F, T', 3]; T' is T, or a subsample of
    at most `max_frames` frames.
    """
    step = -(-len(original) // max_frames)
    seen, guess, grey = original[::step, ::-1, 0], predicted[::step, ::-1, 0], mask[::step, ::-1]
    masked = np.where(grey[..., None], np.uint8(round(GREY * 255)), apply_colormap(seen))
    first, second, third = (panel.swapaxes(0, 1) for panel in (apply_colormap(seen), masked, apply_colormap(guess)))
    return first, second, third


def _pad_width(pixels: Pixels, width: int) -> Pixels:
    return np.pad(pixels, ((0, 0), (0, width - pixels.shape[1]), (0, 0)), constant_values=255)


def apply_colormap(values: Floats) -> Pixels:
    """Converts values [...] in [0, 1] to uint8 [..., 3] with the colormap viridis. Higher values are brighter."""
    places = np.linspace(0, 1, len(VIRIDIS))
    channels = [np.interp(values, places, channel) for channel in zip(*VIRIDIS, strict=True)]
    return np.round(np.stack(channels, axis=-1)).astype(np.uint8)


def grey_out(values: Floats, mask: NDArray[np.bool_]) -> Floats:
    """Replaces the masked parts [...] of values [..., C] by grey."""
    return np.where(mask[..., None], np.float32(GREY), values)


def to_pixels(values: Floats) -> Pixels:
    """Converts values [..., 1 or 3] in [0, 1] to uint8 [..., 3]."""
    pixels = np.round(np.clip(values, 0, 1) * 255).astype(np.uint8)
    return np.broadcast_to(pixels, (*pixels.shape[:-1], 3))


def enlarge(pixels: Pixels, smallest: int = SMALLEST) -> Pixels:
    """Repeats each pixel of uint8 [H, W, 3] until the short side has about `smallest` pixels."""
    times = max(1, round(smallest / min(pixels.shape[:2])))
    return pixels.repeat(times, 0).repeat(times, 1)


def side_by_side(panels: Sequence[Pixels]) -> Pixels:
    """Joins panels [H, W, 3] of one height from left to right, with white gaps."""
    gap = np.full((len(panels[0]), GAP, 3), 255, np.uint8)
    parts = [part for panel in panels for part in (gap, panel)][1:]
    return np.concatenate(parts, axis=1)


def stack(rows: Sequence[Pixels]) -> Pixels:
    """Joins pictures [H, W, 3] of one width from top to bottom, with white gaps."""
    return side_by_side([row.swapaxes(0, 1) for row in rows]).swapaxes(0, 1)


def moving_panels(original: Floats, mask: NDArray[np.bool_], predicted: Floats) -> Pixels:
    """Draws `image_panels` for each frame.

    original, predicted: [T, H, W, C] in [0, 1]. mask: [T, H, W]. Returns uint8 [T, H', W', 3].
    """
    return np.stack([image_panels(*each) for each in zip(original, mask, predicted, strict=True)])


def clip_panels(original: Floats, mask: NDArray[np.bool_], predicted: Floats) -> Pixels:
    """Draws a contact sheet of up to CONTACTS evenly spread frames. Its rows are original, masked and predicted.

    original, predicted: [T, H, W, C] in [0, 1]. mask: [T, H, W]. Returns uint8 [H', W', 3].
    """
    shown = ((np.arange(min(CONTACTS, len(original))) + 0.5) * len(original) / min(CONTACTS, len(original))).astype(int)
    rows = (original[shown], grey_out(original[shown], mask[shown]), predicted[shown])
    return stack([side_by_side([enlarge(frame) for frame in to_pixels(row)]) for row in rows])
