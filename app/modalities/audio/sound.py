"""From a spectrogram of which a part was predicted back to sound."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.modalities.audio.mel import Floats, MelSettings, to_power

ROUNDS = 32  # of Griffin and Lim, in sounds of up to LONG seconds; fewer in longer ones
FEWEST = 4
LONG = 60.0
INVERSION_ROUNDS = 30
BLOCK_SECONDS, MARGIN_SECONDS = 20.0, 0.1  # made at once, and how far a block reaches into those beside it
_TINY = np.float32(1e-20)


@dataclass(frozen=True)
class Sound:
    """samples [S] mono in [-1, 1], as the model's spectrogram was made of them."""

    samples: Floats
    mel: MelSettings


def resound(sound: Sound, levels: Floats, mask: NDArray[np.bool_]) -> Floats:
    """The sound [S] with its masked part as predicted.

    levels [T, n_mels] in [0, 1], mask [T, n_mels]. Where all is visible, magnitudes and phases are the
    sound's own; where it is masked, magnitudes come from the mel bands by non-negative least squares, and
    phases by Griffin and Lim's iteration (IEEE Transactions on ASSP 32(2), 1984), beginning with zero.
    The same input gives the same sound. Long ones are made block by block, each faded into the next.
    """
    mel, total = sound.mel, len(sound.samples)
    rounds = phase_rounds(total / mel.sample_rate)
    size = round(BLOCK_SECONDS / mel.frame_seconds)
    margin = max(round(MARGIN_SECONDS / mel.frame_seconds), -(-2 * mel.n_fft // mel.hop_length))
    made = np.zeros(total, np.float32)
    for start in range(0, len(levels), size):
        first, last = max(0, start - margin), start + size + margin
        part = slice(first * mel.hop_length, min(last * mel.hop_length, total))
        block = sound.samples[part]
        if mask[first:last].any():
            block = _resound(Sound(block, mel), levels[first:last], mask[first:last], rounds)
        at = np.arange(part.start, part.stop) / mel.hop_length
        rise = (at - start) / (2 * margin) + 0.5 if start else np.ones_like(at)
        fall = (start + size - at) / (2 * margin) + 0.5 if part.stop < total else np.ones_like(at)
        made[part] += block * np.clip(np.minimum(rise, fall), 0, 1).astype(np.float32)
    return made


def _resound(sound: Sound, levels: Floats, mask: NDArray[np.bool_], rounds: int) -> Floats:
    mel, samples = sound.mel, len(sound.samples)
    own = mel.stft(sound.samples)
    share = _share(mel, mask)
    affected = mask.any(axis=1)
    power = np.square(np.abs(own))
    power[affected] += share[affected] * (linear_power(mel, to_power(levels[affected])) - power[affected])
    magnitude = np.sqrt(power)
    known = share < 0.5  # where most of what a bin tells the bands is visible
    phase = own / np.maximum(np.abs(own), _TINY)
    spectrum = magnitude * np.where(known, phase, np.complex64(1))
    for _ in range(rounds):
        found = mel.stft(mel.istft(spectrum, samples))
        spectrum = magnitude * np.where(known, phase, found / np.maximum(np.abs(found), _TINY))
    return mel.istft(spectrum, samples)


def linear_power(mel: MelSettings, bands: Floats) -> Floats:
    """Power in mel bands [T, n_mels] → in the transform's bins [T, n_fft // 2 + 1].

    Non-negative least squares by multiplicative updates (Lee and Seung, NIPS 2000). Bins in no band are silent.
    """
    filters = mel.filters
    target = bands @ filters.T
    power = target / np.maximum(filters.sum(1), _TINY)
    for _ in range(INVERSION_ROUNDS):
        power = power * (target / np.maximum((power @ filters) @ filters.T, _TINY))
    return np.asarray(power, np.float32)


def _share(mel: MelSettings, mask: NDArray[np.bool_]) -> Floats:
    """How much of what each bin gives to the bands is masked, in [0, 1]. [T, n_mels] → [T, n_fft // 2 + 1]

    A bin in no band goes with the whole of its frame.
    """
    total = mel.filters.sum(1)
    values = mask.astype(np.float32)
    within = (values @ mel.filters.T) / np.maximum(total, _TINY)
    return np.asarray(np.where(total > 0, within, values.mean(1, keepdims=True)), np.float32)


def phase_rounds(seconds: float) -> int:
    """Rounds of Griffin and Lim's iteration for a sound of so many seconds."""
    return max(FEWEST, min(ROUNDS, round(ROUNDS * LONG / max(seconds, LONG))))
