"""How pictures, alone or as frames, are varied from one time that a model sees them to the next."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.media.images import Pixels
from app.modalities.image.processor import resize

ASPECT = (3 / 4, 4 / 3)  # width ÷ height of a random crop, as in MAE
GREY = 0.2  # share of the recoloured that lose all colour, as in SimCLR (arXiv 2002.05709)
# RGB → YIQ, in which hue and saturation are angle and radius of a plane.
_YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])


@dataclass(frozen=True)
class Augment:
    """size: of what the model sees. crop, flip, color_jitter: the job's hyperparameters."""

    size: int
    crop: float
    flip: bool
    color_jitter: float = 0.0

    def frames(self, frames: Pixels, rng: np.random.Generator | None) -> Pixels:
        """uint8 [T, S, S, C] → [T, size, size, C], all varied alike; without a generator, not at all."""
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
    """A dataset's sample uint8 [1, S, S, C] → what the model sees of it, [size, size, C]."""

    def __call__(self, sample: Any, rng: np.random.Generator | None) -> Pixels:
        image: Pixels = self.frames(np.asarray(sample[:1]), rng)[0]
        return image


class ClipAugment(Augment):
    """A dataset's sample uint8 [T, S, S, C] → what the model sees of it, [T, size, size, C]."""

    def __call__(self, sample: Any, rng: np.random.Generator | None) -> Pixels:
        return self.frames(np.asarray(sample), rng)


def recolour(frames: Pixels, strength: float, rng: np.random.Generator) -> Pixels:
    """Other brightness, saturation and hue, like torchvision's ColorJitter with these at `strength`.

    Hue turns by up to half as many circles; GREY of all become grey. Together this is one linear map of the colours,
    and black stays black. frames: uint8 [..., 1 or 3]
    """
    brightness, saturation = rng.uniform(1 - strength, 1 + strength, 2)
    angle = 2 * np.pi * rng.uniform(-strength / 2, strength / 2)
    if rng.random() < GREY:
        saturation = 0.0
    matrix: NDArray[Any] = np.full((1, 1), brightness)
    if frames.shape[-1] == 3:
        turn = np.eye(3)
        turn[1:, 1:] = saturation * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        matrix = brightness * (np.linalg.inv(_YIQ) @ turn @ _YIQ)
    colours = frames.astype(np.float32) @ matrix.T.astype(np.float32)
    out: Pixels = np.clip(colours, 0, 255).round().astype(np.uint8)
    return out
