import colorsys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from app.modalities.patch.augment import ClipAugment, ImageAugment, recolour
from tests.fakes.tiny_videos import frames


def test_pictures_are_parts_of_the_whole() -> None:
    stored = np.arange(40 * 40 * 3, dtype=np.uint32).reshape(1, 40, 40, 3).astype(np.uint8)
    augment = ImageAugment(size=32, crop=0.3, flip=True)
    rng = np.random.default_rng(0)
    seen = {augment(stored, rng).tobytes() for _ in range(8)}
    assert len(seen) == 8
    assert augment(stored, None).shape == (32, 32, 3)
    assert augment(stored, np.random.default_rng(1)).tobytes() == augment(stored, np.random.default_rng(1)).tobytes()
    plain = ImageAugment(size=40, crop=1.0, flip=True)
    views = {plain(stored, rng).tobytes() for _ in range(16)}
    assert views == {stored[0].tobytes(), np.ascontiguousarray(stored[0, :, ::-1]).tobytes()}


@pytest.mark.parametrize("color_jitter", [0.0, 0.5])
def test_all_frames_of_a_clip_are_varied_alike(color_jitter: float) -> None:
    still = np.repeat(frames(count=1, width=40, height=40), 4, axis=0)
    augment = ClipAugment(32, 0.3, True, color_jitter)
    rng = np.random.default_rng(0)
    views = [augment(still, rng) for _ in range(8)]
    assert all(view.shape == (4, 32, 32, 3) and (view == view[0]).all() for view in views)
    assert len({view.tobytes() for view in views}) == 8
    plain = augment(still, None)
    assert plain.shape == (4, 32, 32, 3) and (plain == ClipAugment(32, 0.3, True)(still, None)).all()


class Fixed(np.random.Generator):
    """Draws the shares of the range that it is given, one after another."""

    def __init__(self, *shares: float) -> None:
        super().__init__(np.random.PCG64(0))
        self.shares = list(shares)

    def random(self) -> float:  # type: ignore[override]
        return self.shares.pop(0) if self.shares else 1.0

    def uniform(self, low: float = 0.0, high: float = 1.0, size: int | None = None) -> Any:  # type: ignore[override]
        drawn = [low + (high - low) * self.shares.pop(0) for _ in range(size or 1)]
        return drawn[0] if size is None else np.array(drawn)


MIDDLE = 0.5  # of the range: nothing changes
LUMINANCE = [0.299, 0.587, 0.114]


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        ((MIDDLE, MIDDLE, MIDDLE), lambda pixels: pixels),
        ((0.75, MIDDLE, MIDDLE), lambda pixels: pixels * 1.25),
        ((MIDDLE, 0.0, MIDDLE), lambda pixels: (pixels + (pixels @ LUMINANCE)[..., None]) / 2),
        ((MIDDLE, MIDDLE, MIDDLE, 0.0), lambda pixels: (pixels @ LUMINANCE)[..., None] + 0 * pixels),
    ],
    ids=["nothing", "brightness", "saturation", "grey"],
)
def test_colours_are_turned_one_way_at_a_time(
    shares: tuple[float, ...], expected: Callable[[np.ndarray], np.ndarray]
) -> None:
    pixels = np.random.default_rng(0).integers(60, 180, (2, 4, 4, 3)).astype(np.uint8)
    turned = recolour(pixels, 0.5, Fixed(*shares))
    assert turned.dtype == np.uint8
    assert np.abs(turned - expected(pixels.astype(float))).max() <= 1.5


def test_hues_go_round() -> None:
    """A third of the circle makes of a red something greenish or bluish, as bright as it was."""
    red = np.full((1, 2, 2, 3), (150, 60, 60), np.uint8)
    turned = recolour(red, 1.0, Fixed(MIDDLE, MIDDLE, MIDDLE + 1 / 3))[0, 0, 0].astype(float)
    hue = colorsys.rgb_to_hsv(*turned / 255)[0]
    assert 0.2 < hue < 0.8
    assert turned @ LUMINANCE == pytest.approx(red[0, 0, 0] @ LUMINANCE, abs=2)


def test_grey_pictures_change_in_brightness_and_black_stays() -> None:
    grey = np.random.default_rng(0).integers(60, 180, (1, 4, 4, 1)).astype(np.uint8)
    assert recolour(grey, 0.5, np.random.default_rng(1)).shape == grey.shape
    assert (recolour(grey, 0.5, np.random.default_rng(1)) != grey).any()
    assert not recolour(np.zeros((1, 2, 2, 3), np.uint8), 1.0, np.random.default_rng(1)).any()
