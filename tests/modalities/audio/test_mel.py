import numpy as np
import pytest
from transformers.audio_utils import mel_filter_bank, spectrogram, window_function

from app.modalities.audio import mel as mel_module
from app.modalities.audio.mel import CEILING, FLOOR, MelSettings, to_levels, to_power
from tests.fakes.tiny_audio import MEL, samples

SETTINGS = [
    MEL,
    MelSettings(16000, 1024, 400, 160, 64, 50.0, 7600.0),
    MelSettings(22050, 512, 512, 128, 40, 0, 11025.0),
]


def decibels(levels: np.ndarray) -> np.ndarray:
    return levels * (CEILING - FLOOR) + FLOOR


@pytest.mark.parametrize("mel", SETTINGS)
@pytest.mark.parametrize("blocks", [7, 4096])
def test_levels_are_those_of_transformers(mel: MelSettings, blocks: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mel_module, "BLOCK", blocks)
    wave = samples(1, 0.51, mel.sample_rate)
    window = window_function(mel.win_length, "hann", frame_length=mel.n_fft)
    bank = mel_filter_bank(mel.n_fft // 2 + 1, mel.n_mels, mel.f_min, mel.f_max, mel.sample_rate)
    theirs = spectrogram(
        wave, window * 2 / window.sum(), mel.n_fft, mel.hop_length, power=2.0, pad_mode="constant",
        mel_filters=bank, log_mel="dB", min_value=1e-20, mel_floor=1e-20,
    )  # fmt: skip
    ours = mel.log_mel(wave)
    assert ours.shape == (mel.frames(len(wave)), mel.n_mels) and ours.dtype == np.float32
    shared = np.clip(theirs.T[: len(ours)], FLOOR, CEILING)
    assert np.abs(decibels(ours)[: len(shared)] - shared).max() < 0.01


def test_a_sine_of_full_scale_is_near_the_top_and_silence_at_the_bottom() -> None:
    mel = SETTINGS[1]
    sine = np.sin(2 * np.pi * 1000 * np.arange(16000) / 16000).astype(np.float32)
    assert 0 < decibels(mel.log_mel(sine)[50]).max() < 6
    assert not mel.log_mel(np.zeros(16000, np.float32)).any()


@pytest.mark.parametrize("length", [1, 79, 80, 81, 3999, 4000])
def test_every_length_has_its_frames_and_comes_back(length: int) -> None:
    wave = samples(2, 0.5)[:length]
    assert len(MEL.log_mel(wave)) == len(MEL.stft(wave)) == MEL.frames(length) == -(-length // 80)
    back = MEL.istft(MEL.stft(wave), length)
    assert back.shape == wave.shape
    assert np.abs(back - wave).max() < 1e-4


def test_levels_and_power_mean_the_same() -> None:
    power = np.logspace(-8, 0, 50, dtype=np.float32)
    assert np.allclose(to_power(to_levels(power)), power, rtol=1e-4)
    assert to_power(np.zeros(1, np.float32)) == 0 and to_levels(np.array([1e9], np.float32)) == 1
