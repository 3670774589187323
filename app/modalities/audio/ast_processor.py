"""From a sound file to the filter banks that AST reads: the numbers of transformers' ASTFeatureExtractor. No torch."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from app.errors import InvalidModel, InvalidValue
from app.media.audio import decode_audio, encode_wav
from app.modalities.audio.mel import BLOCK, Floats
from app.modalities.model_files import read_json
from app.modalities.patch.decoded_media import DecodedMedia

FILE = "preprocessor_config.json"
SAMPLE_RATE = 16_000  # Hz. Without torchaudio, the extractor has the frames of this rate only
FRAME, HOP, _FFT = 400, 160, 512  # samples
_PREEMPHASIS, _FLOOR = 0.97, 1.192092955078125e-07


@dataclass(frozen=True)
class AstProcessor:
    """The FileProcessor of AST. A window has `frames` frames of `bands` bands. mean, std: of the model's input."""

    frames: int
    bands: int
    mean: float
    std: float

    def __getstate__(self) -> dict[str, Any]:
        """With the tables: to make them, a child process would import transformers, which takes a second."""
        return {**vars(self), "window": self.window, "filters": self.filters}

    @cached_property
    def window(self) -> NDArray[np.float64]:
        """[FRAME]"""
        from transformers.audio_utils import window_function

        return np.asarray(window_function(FRAME, "hann", periodic=False), np.float64)

    @cached_property
    def filters(self) -> NDArray[np.float64]:
        """[257, bands]"""
        from transformers.audio_utils import mel_filter_bank

        scale: dict[str, Any] = {"norm": None, "mel_scale": "kaldi", "triangularize_in_mel_space": True}
        return np.asarray(mel_filter_bank(_FFT // 2 + 1, self.bands, 20, SAMPLE_RATE // 2, SAMPLE_RATE, **scale))

    def read(self, content: bytes) -> DecodedMedia:
        """Windows one after the other, the last one padded with zeros. Raises InvalidValue for short sounds."""
        samples = decode_audio(content, sample_rate=SAMPLE_RATE)
        if len(samples) < FRAME:
            raise InvalidValue(
                f"the sound has {len(samples)} samples at {SAMPLE_RATE} Hz; the model needs {FRAME}", param="input"
            )
        banks = self.filter_banks(samples)
        windows, step = -(-len(banks) // self.frames), self.frames * HOP / SAMPLE_RATE
        padded = np.pad(banks, ((0, windows * self.frames - len(banks)), (0, 0)))
        seconds = len(samples) / SAMPLE_RATE
        ends = [*(window * step for window in range(1, windows)), seconds]
        times = tuple((window * step, end) for window, end in enumerate(ends))
        return DecodedMedia(padded.reshape(windows, self.frames, self.bands, 1), length=len(banks), times=times)

    def filter_banks(self, samples: Floats) -> Floats:
        """[S] → [T, bands], before they are normalised"""
        frames = sliding_window_view(samples, FRAME)[::HOP]
        banks = np.empty((len(frames), self.bands), np.float32)
        for start in range(0, len(frames), BLOCK):
            part = frames[start : start + BLOCK].astype(np.float64)
            part -= part.mean(1, keepdims=True)
            before = np.concatenate([part[:, :1], part[:, :-1]], axis=1)
            spectrum = np.fft.rfft((part - _PREEMPHASIS * before) * self.window, _FFT).astype(np.complex64)
            power = np.square(np.abs(spectrum, dtype=np.float64))
            banks[start : start + BLOCK] = np.log(np.maximum(_FLOOR, power @ self.filters))
        return banks

    def example(self) -> bytes:
        return encode_wav(np.zeros(2 * FRAME, np.float32), SAMPLE_RATE)


def load_ast_processor(folder: Path, frames: int, bands: int) -> AstProcessor:
    """Reads the folder's preprocessor_config.json. frames, bands: of the model's input. Raises InvalidModel."""
    config = read_json(folder / FILE)
    kind = str(config.get("feature_extractor_type")) if isinstance(config, dict) else "unknown"
    if kind != "ASTFeatureExtractor":
        raise InvalidModel(f"{FILE}: the processor {kind} is not supported; ASTFeatureExtractor is")
    rate, channels = config.get("sampling_rate", SAMPLE_RATE), config.get("feature_size", 1)
    if rate != SAMPLE_RATE or channels != 1:
        raise InvalidModel(f"{FILE}: sounds of {channels} channels at {rate} Hz are not supported")
    found = config.get("max_length", 1024), config.get("num_mel_bins", 128)
    if found != (frames, bands):
        raise InvalidModel(f"{FILE}: it gives {found} frames and bands, and the model reads {(frames, bands)}")
    mean, std = config.get("mean", -4.2677393), config.get("std", 4.5689974)
    if not (isinstance(mean, int | float) and isinstance(std, int | float) and std > 0):
        raise InvalidModel(f"{FILE}: mean {mean!r} and std {std!r} are not supported")
    if config.get("do_normalize") is False:
        return AstProcessor(frames, bands, 0.0, 1.0)
    return AstProcessor(frames, bands, float(mean), 2 * float(std))
