"""From samples to log-mel spectrograms: NumPy, since it runs in threads that torch's own would crowd."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Spectrum = NDArray[np.complex64]

FLOOR, CEILING = -90.0, 10.0  # dB; a sine of full scale has up to 6
BLOCK = 4096  # frames transformed at once


@dataclass(frozen=True)
class MelSettings:
    """How sound is seen; the names are torchaudio's.

    sample_rate: Hz. n_fft, win_length (Hann), hop_length: samples. n_mels triangular bands, evenly spaced on
    HTK's mel scale between f_min and f_max (Hz). Frame i lies around sample i × hop_length, and beyond its
    ends a sound is silent.
    """

    sample_rate: int
    n_fft: int
    win_length: int
    hop_length: int
    n_mels: int
    f_min: float
    f_max: float

    def __getstate__(self) -> dict[str, Any]:
        """With the tables: to make them, a child process would import transformers, which takes a second."""
        return {**vars(self), "window": self.window, "filters": self.filters}

    @property
    def frame_seconds(self) -> float:
        return self.hop_length / self.sample_rate

    def frames(self, samples: int) -> int:
        """How many frames so many samples have."""
        return -(-samples // self.hop_length)

    @cached_property
    def window(self) -> Floats:
        """[n_fft]; scaled so that a sine of full scale has a power of 1."""
        from transformers.audio_utils import window_function

        window = window_function(self.win_length, "hann", frame_length=self.n_fft)
        return np.asarray(window * (2 / window.sum()), np.float32)

    @cached_property
    def filters(self) -> Floats:
        """[n_fft // 2 + 1, n_mels]"""
        from transformers.audio_utils import mel_filter_bank

        bank = mel_filter_bank(self.n_fft // 2 + 1, self.n_mels, self.f_min, self.f_max, self.sample_rate)
        return np.asarray(bank, np.float32)

    def log_mel(self, samples: Floats) -> Floats:
        """Samples [S] in [-1, 1] → levels [T, n_mels], of which 0 stands for FLOOR and 1 for CEILING decibels."""
        padded, total = self._padded(samples), self.frames(len(samples))
        levels = np.empty((total, self.n_mels), np.float32)
        for start in range(0, total, BLOCK):
            end = min(start + BLOCK, total)
            power = np.square(np.abs(self._transform(padded, start, end)))
            levels[start:end] = to_levels(power @ self.filters)
        return levels

    def stft(self, samples: Floats) -> Spectrum:
        """[S] → [T, n_fft // 2 + 1]"""
        return self._transform(self._padded(samples), 0, self.frames(len(samples)))

    def istft(self, spectrum: Spectrum, samples: int) -> Floats:
        """The sound [samples] whose transform is nearest, in the sense of least squares (Griffin and Lim, 1984)."""
        frames = np.fft.irfft(spectrum, self.n_fft, axis=-1).astype(np.float32) * self.window
        weights = np.broadcast_to(np.square(self.window), frames.shape)
        total, weight = (self._overlap_add(each)[self.n_fft // 2 :][:samples] for each in (frames, weights))
        sound: Floats = total / np.maximum(weight, 1e-3 * weight.max())
        return sound

    def _padded(self, samples: Floats) -> Floats:
        missing = (self.frames(len(samples)) - 1) * self.hop_length + self.n_fft - len(samples) - self.n_fft // 2
        return np.pad(samples, (self.n_fft // 2, max(0, missing)))

    def _transform(self, padded: Floats, start: int, end: int) -> Spectrum:
        """The frames from `start` to `end`."""
        frames = sliding_window_view(padded, self.n_fft)[:: self.hop_length][start:end]
        return np.fft.rfft(frames * self.window, axis=-1).astype(np.complex64, copy=False)

    def _overlap_add(self, frames: Floats) -> Floats:
        """[T, n_fft], each frame one hop after the last → their sum [≥ (T - 1) × hop + n_fft]"""
        parts = -(-self.n_fft // self.hop_length)
        cut = np.pad(frames, ((0, 0), (0, parts * self.hop_length - self.n_fft)))
        cut = cut.reshape(len(frames), parts, self.hop_length)
        total = np.zeros((len(frames) + parts - 1, self.hop_length), np.float32)
        for part in range(parts):
            total[part : part + len(frames)] += cut[:, part]
        return total.reshape(-1)


def to_levels(power: Floats) -> Floats:
    """Power → [0, 1]"""
    decibels = 10 * np.log10(np.maximum(power, 1e-20, dtype=np.float32))
    return np.clip((decibels - FLOOR) / (CEILING - FLOOR), 0, 1).astype(np.float32)


def to_power(levels: Floats) -> Floats:
    """[0, 1] → power; 0 is silence."""
    decibels = levels * (CEILING - FLOOR) + FLOOR
    return np.where(levels > 0, 10 ** (decibels / 10), 0).astype(np.float32)
