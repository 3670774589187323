import numpy as np
import pytest

from app.media.panels import GAP, LINE, MAX_LINES, apply_colormap, spectrogram_panels, spectrograms


def test_louder_is_brighter() -> None:
    map_ = apply_colormap(np.linspace(0, 1, 256, dtype=np.float32))
    assert map_.dtype == np.uint8 and map_.shape == (256, 3)
    brightness = map_ @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(brightness) > -0.5).all() and brightness[-1] - brightness[0] > 150


def test_time_goes_right_and_low_frequencies_are_at_the_bottom() -> None:
    original = np.zeros((400, 130, 1), np.float32)
    original[:20, :10] = 1  # low, at the beginning
    mask = np.zeros((400, 130), bool)
    mask[100:, :] = True
    shown = spectrogram_panels(original, mask, np.ones_like(original))
    assert shown.shape == (3 * 130 + 2 * GAP, 400, 3)
    first, masked, predicted = shown[:130], shown[130 + GAP : 260 + GAP], shown[-130:]
    loud, quiet = apply_colormap(np.array([1.0, 0.0], np.float32))
    assert (first[-10:, :20] == loud).all() and (first[:-10] == quiet).all() and (first[:, 20:] == quiet).all()
    assert (masked[:, 100:] == 128).all() and np.array_equal(masked[:, :100], first[:, :100])
    assert (predicted == loud).all()


def test_short_sounds_stand_side_by_side_and_large() -> None:
    values = np.zeros((48, 64, 1), np.float32)
    mask = np.zeros((48, 64), bool)
    mask[:24] = True
    shown = spectrogram_panels(values, mask, values)
    assert shown.shape == (3 * 64, 3 * 3 * 48 + 2 * GAP, 3)  # each pixel is three
    assert (shown[:, 144 + GAP : 144 + GAP + 72] == 128).all()


@pytest.mark.parametrize(("frames", "lines"), [(LINE, 1), (LINE + 1, 2), (3 * LINE, 3), (100 * LINE, 50)])
def test_long_sounds_go_on_below(frames: int, lines: int) -> None:
    values = np.zeros((frames, 60, 1), np.float32)
    shown = spectrogram_panels(values, np.zeros((frames, 60), bool), values)
    assert lines <= MAX_LINES
    assert shown.shape == (lines * (3 * 60 + 2 * GAP) + (lines - 1) * GAP, LINE, 3)


def test_spectrograms_come_one_by_one_a_pixel_a_frame_and_band() -> None:
    original = np.linspace(0, 1, 50 * 8, dtype=np.float32).reshape(50, 8, 1)
    mask = np.zeros((50, 8), bool)
    mask[10:20] = True
    seen, masked, guess = spectrograms(original, mask, original[::-1])
    assert seen.shape == masked.shape == guess.shape == (8, 50, 3)
    assert (masked[:, 10:20] == 128).all() and np.array_equal(masked[:, :10], seen[:, :10])
    assert np.array_equal(seen[-1, 0], apply_colormap(original[0, 0, 0]))  # the lowest band is at the bottom
    assert spectrograms(original, mask, original, max_frames=20)[0].shape == (8, 17, 3)
