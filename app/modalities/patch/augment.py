"""Random crops, flips and colours of images and clips, drawn anew each time a model sees them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.media.images import Pixels
from app.modalities.image.processor import resize

ASPECT = (3 / 4, 4 / 3)  # width ÷ height of a random crop, as in MAE
GREY = 0.2  # share of recoloured samples that become grey, as in SimCLR (arXiv 2002.05709)
# RGB → YIQ. In YIQ hue is an angle and saturation a radius.
_YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])


@dataclass(frozen=True)
class Augment:
    """Random changes of frames. size: pixels of a side of the result. The others are the job's hyperparameters."""

    size: int
    crop: float
    flip: bool
    color_jitter: float = 0.0

    def frames(self, frames: Pixels, rng: np.random.Generator | None) -> Pixels:
        """Changes all frames in the same way: uint8 [T, S, S, C] → [T, size, size, C]. Without `rng`, only resizes."""
        stored = frames.shape[1]
        if rng is not None and self.crop < 1:
            box = self._box(stored, rng)
            frames = np.stack([resize(frame, self.size, box) for frame in frames])
        elif stored != self.size:
            frames = np.stack([resize(frame, self.size, (0, 0, stored, stored)) for frame in frames])
        if rng is not None and self.flip and rng.random() < 0.5:
            frames = np.ascontiguousarray(frames[:, :, ::-1])
        return recolour(frames, self.color_jitter, rng) if rng is not None and self.color_jitter else frames

    def _box(self, stored: int, rng: np.random.Generator) -> tuple[float, float, float, float]:
        area = rng.uniform(self.crop, 1) * stored**2
        aspect = float(np.exp(rng.uniform(*np.log(ASPECT))))
        width, height = min(np.sqrt(area * aspect), stored), min(np.sqrt(area / aspect), stored)
        left, top = rng.uniform(0, stored - width), rng.uniform(0, stored - height)
        return (left, top, left + width, top + height)


class ImageAugment(Augment):
    """Turns a dataset's sample, uint8 [1, S, S, C], into the model's image [size, size, C]."""

    def __call__(self, sample: Any, rng: np.random.Generator | None) -> Pixels:
        image: Pixels = self.frames(np.asarray(sample[:1]), rng)[0]
        return image


class ClipAugment(Augment):
    """Turns a dataset's sample, uint8 [T, S, S, C], into the model's clip [T, size, size, C]."""

    def __call__(self, sample: Any, rng: np.random.Generator | None) -> Pixels:
        return self.frames(np.asarray(sample), rng)


def recolour(frames: Pixels, strength: float, rng: np.random.Generator) -> Pixels:
    """Changes brightness, saturation and hue at random, as torchvision's ColorJitter with these at `strength`.

    Hue turns by up to `strength` / 2 circles. The share GREY of samples becomes grey. The result is one linear map of
    the colours, so black stays black.

    frames: uint8 [..., 1 or 3]
    """
    brightness, saturation = rng.uniform(1 - strength, 1 + strength, 2)
    angle = 2 * np.pi * rng.uniform(-strength / 2, strength / 2)
    if rng.random() < GREY:
        saturation = 0.0
    matrix: NDArray[Any] = np.full((1, 1), brightness)
    if frames.shape[-1] == 3:
        rotation = np.eye(3)
        rotation[1:, 1:] = saturation * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        matrix = brightness * (np.linalg.inv(_YIQ) @ rotation @ _YIQ)
    colours = frames.astype(np.float32) @ matrix.T.astype(np.float32)
    out: Pixels = np.clip(colours, 0, 255).round().astype(np.uint8)
    return out
