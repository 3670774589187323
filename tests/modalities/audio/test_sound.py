import numpy as np
import pytest

from app.modalities.audio import sound as sound_module
from app.modalities.audio.mel import MelSettings
from app.modalities.audio.sound import FEWEST, ROUNDS, Sound, linear_power, phase_rounds, resound
from tests.fakes.tiny_audio import MEL, samples

WIDE = MelSettings(16000, 1024, 400, 160, 64, 0.0, 8000.0)


def distance(mel: MelSettings, first: np.ndarray, second: np.ndarray) -> float:
    """Between the loudnesses of two sounds, relative to the second's."""
    a, b = (np.abs(mel.stft(each)) for each in (first, second))
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


def test_what_is_visible_is_heard_as_it_was() -> None:
    wave = samples(0)
    mask = np.zeros((MEL.frames(len(wave)), MEL.n_mels), bool)
    assert np.array_equal(resound(Sound(wave, MEL), MEL.log_mel(wave), mask), wave)
    mask[20:30] = True
    again = resound(Sound(wave, MEL), MEL.log_mel(wave), mask)
    untouched = slice(0, 20 * MEL.hop_length - MEL.n_fft)
    assert again.shape == wave.shape and again.dtype == np.float32
    assert np.abs(again[untouched] - wave[untouched]).max() < 1e-3
    assert np.abs(again - wave).max() > 1e-2


@pytest.mark.parametrize("axis", [0, 1])
def test_a_right_prediction_sounds_nearly_right(axis: int) -> None:
    wave = samples(3, 0.5, 16000)
    levels = WIDE.log_mel(wave)
    mask = np.zeros(levels.shape, bool)
    mask[(slice(15, 25), slice(None)) if axis == 0 else (slice(None), slice(20, 40))] = True
    right = resound(Sound(wave, WIDE), levels, mask)
    silent = resound(Sound(wave, WIDE), np.where(mask, np.float32(0), levels), mask)
    assert distance(WIDE, right, wave) < 0.25
    assert distance(WIDE, right, wave) < distance(WIDE, silent, wave) / 2


def test_everything_masked_is_sound_too_and_always_the_same() -> None:
    wave = samples(4, 0.5, 16000)
    levels = WIDE.log_mel(wave)
    mask = np.ones(levels.shape, bool)
    first, second = (resound(Sound(wave, WIDE), levels, mask) for _ in range(2))
    assert np.array_equal(first, second) and np.isfinite(first).all()
    assert np.abs(WIDE.log_mel(first) - levels).mean() < 0.05
    assert not resound(Sound(wave, WIDE), np.zeros_like(levels), mask).any()


def test_bands_come_back_from_the_bins_they_are_made_into() -> None:
    power = np.square(np.abs(WIDE.stft(samples(5, 0.3, 16000))))
    bands = power @ WIDE.filters
    found = linear_power(WIDE, bands)
    assert (found >= 0).all()
    assert np.linalg.norm(found @ WIDE.filters - bands) / np.linalg.norm(bands) < 0.05


def test_long_sounds_are_given_fewer_rounds() -> None:
    assert [phase_rounds(s) for s in (1, 60, 120, 1800)] == [ROUNDS, ROUNDS, ROUNDS // 2, FEWEST]


def test_long_sounds_are_made_in_blocks_without_a_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    wave = samples(6, 2.0)
    levels = MEL.log_mel(wave)
    nothing, some = np.zeros(levels.shape, bool), np.zeros(levels.shape, bool)
    some[90:110] = True
    whole = resound(Sound(wave, MEL), levels, some)
    monkeypatch.setattr(sound_module, "BLOCK_SECONDS", 0.3)
    assert np.allclose(resound(Sound(wave, MEL), levels, nothing), wave, atol=1e-6)
    blocks = resound(Sound(wave, MEL), levels, some)
    assert np.abs(blocks[:6400] - wave[:6400]).max() < 1e-3 and np.abs(blocks[9600:] - wave[9600:]).max() < 1e-3
    assert np.abs(np.diff(blocks)).max() < 1.2 * np.abs(np.diff(wave)).max()
    assert distance(MEL, blocks, whole) < 0.3
