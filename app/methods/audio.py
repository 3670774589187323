"""Methods for audio: masked autoencoders of spectrograms (AudioMAE), and wav2vec 2.0."""

import math
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from app.errors import InvalidValue
from app.methods.base import Method
from app.methods.image import decoder, vit
from app.methods.patches import DECODER, DecoderHyperparameters, refuse_fixed
from app.methods.wav2vec2 import METHODS as WAVEFORM_METHODS
from app.types import ModalityName

WINDOW_SECONDS, HOP_SECONDS = 0.025, 0.01  # of a frame, as in speech recognition and AudioMAE
MIN_BANDS = 2  # patches along the frequency axis; with one, a short sound would leave nothing to see
MIN_PATCHES = 4


class AudioMaeHyperparameters(DecoderHyperparameters):
    """Masked autoencoders for audio: arXiv 2207.06405.

    `None` is the value of the preset or the stored model. A stored model keeps its spectrogram and patches.
    """

    sample_rate: int | None = Field(
        None, ge=1000, le=192_000, description="Sample rate in Hz, to which all audio is resampled; the preset's"
    )
    n_mels: int | None = Field(
        None, ge=4, le=512, description="Number of mel bands, a multiple of patch_size; the preset's"
    )
    win_length: int | None = Field(None, ge=4, le=65_536, description="Number of samples of a frame; 25 ms")
    hop_length: int | None = Field(
        None, ge=1, le=65_536, description="Number of samples from one frame to the next; 10 ms"
    )
    n_fft: int | None = Field(
        None,
        ge=4,
        le=131_072,
        description="Number of samples to which a frame is padded; a power of two, at least twice win_length",
    )
    f_min: float | None = Field(None, ge=0, description="Lower end of the lowest band in Hz; 20")
    f_max: float | None = Field(None, gt=0, description="Upper end of the highest band in Hz; half of sample_rate")
    window_frames: int | None = Field(
        None,
        ge=2,
        le=65_536,
        description="Number of frames of the model's window, a multiple of patch_size; the preset's",
    )
    patch_size: int | None = Field(
        None, ge=2, le=128, description="Side of a patch in frames and in mel bands; the preset's"
    )
    mask_strategy: Literal["random", "time", "frequency", "time-frequency"] | None = Field(
        None,
        description="Shape of the masks: single patches (random), all bands of some moments (time),"
        " some bands throughout (frequency), or both (time-frequency); the model's own",
    )
    time_roll: bool = Field(
        True, description="Rotate a sound in time by a random amount, so that its start follows its end"
    )
    gain: float = Field(6.0, ge=0, le=40, description="Maximum random change of the volume in dB, up or down")

    def check_for(self, config: Mapping[str, Any] | None) -> None:
        if config is None:
            refuse_fixed(self, (*_SPECTROGRAM, "window_frames", "patch_size", *DECODER))
            return
        frames, bands, patch = geometry(config, self)
        if frames % patch:
            raise InvalidValue(f"windows of {frames} frames cannot be cut into patches of {patch}", param="patch_size")
        if bands % patch or bands < MIN_BANDS * patch or frames * bands < MIN_PATCHES * patch**2:
            raise InvalidValue(
                f"{bands} mel bands cannot be cut into {MIN_BANDS} patches of {patch} or more", param="patch_size"
            )
        _check_spectrogram(spectrogram(config, self))


def geometry(config: Mapping[str, Any], hp: AudioMaeHyperparameters) -> tuple[int, int, int]:
    """Returns (frames of a window, mel bands, side of a patch) of a preset with these hyperparameters."""
    frames, bands = config["image_size"]
    return hp.window_frames or frames, hp.n_mels or bands, hp.patch_size or config["patch_size"]


def spectrogram(config: Mapping[str, Any], hp: AudioMaeHyperparameters) -> dict[str, Any]:
    """Returns the fields of MelSettings for a preset or a stored model with these hyperparameters."""
    rate = hp.sample_rate or config["sample_rate"]
    win_length = hp.win_length or round(WINDOW_SECONDS * rate)
    return {
        "sample_rate": rate,
        "n_fft": hp.n_fft or 2 ** math.ceil(math.log2(2 * win_length)),
        "win_length": win_length,
        "hop_length": hp.hop_length or config.get("hop_length") or round(HOP_SECONDS * rate),
        "n_mels": geometry(config, hp)[1],
        "f_min": 20.0 if hp.f_min is None else hp.f_min,
        "f_max": hp.f_max or rate / 2,
    }


_SPECTROGRAM = ("sample_rate", "n_mels", "win_length", "hop_length", "n_fft", "f_min", "f_max")


def _check_spectrogram(mel: Mapping[str, Any]) -> None:
    """Raises InvalidValue for settings that contradict each other."""
    rate, n_fft, f_min, f_max = (mel[name] for name in ("sample_rate", "n_fft", "f_min", "f_max"))
    if mel["win_length"] > n_fft:
        raise InvalidValue(
            f"win_length is {mel['win_length']}, but at most n_fft ({n_fft}) is possible", param="win_length"
        )
    if mel["hop_length"] > mel["win_length"]:
        raise InvalidValue(
            f"hop_length is {mel['hop_length']}, but at most win_length ({mel['win_length']}) skips no sample",
            param="hop_length",
        )
    if not f_min < f_max <= rate / 2:
        raise InvalidValue(
            f"f_min is {f_min:g} and f_max is {f_max:g}, but 0 ≤ f_min < f_max ≤ {rate / 2:g} must hold at {rate} Hz",
            param="f_max",
        )
    # Bands are narrowest at the low end, on HTK's scale: 2595 log10(1 + f / 700).
    step = (math.log1p(f_max / 700) - math.log1p(f_min / 700)) / (mel["n_mels"] + 1)
    narrowest = (700 + f_min) * math.expm1(2 * step)
    if narrowest <= rate / n_fft:
        raise InvalidValue(
            f"{mel['n_mels']} mel bands are too many for an n_fft of {n_fft}: the lowest band is {narrowest:.1f} Hz"
            f" wide, but the transform resolves {rate / n_fft:.1f} Hz",
            param="n_mels",
        )


def _audiomae(
    layers: int, width: int, frames: int, mels: int, decoder_layers: int, decoder_width: int
) -> dict[str, Any]:
    audio = {"sample_rate": 16_000, "num_channels": 1, "mask_ratio": 0.8}
    return vit("vit_mae", layers, width, (frames, mels), 16) | decoder(decoder_layers, decoder_width) | audio


# Widths are those of the image presets. The windows are of 5 seconds, and of 10 for the base one, as in AudioMAE.
# The tiny preset has 2.8 million parameters and half as many bands, for a CPU.
AUDIOMAE_PRESETS: dict[str, dict[str, Any]] = {
    "audiomae-tiny": _audiomae(5, 192, 512, 64, 2, 128),
    "audiomae-small": _audiomae(12, 384, 512, 128, 4, 256),
    "audiomae-base": _audiomae(12, 768, 1024, 128, 8, 512),
}

METHODS = {
    "audiomae": Method(ModalityName.AUDIO, AudioMaeHyperparameters, AUDIOMAE_PRESETS, frozenset({"vit_mae"})),
    **WAVEFORM_METHODS,
}
