"""From a sound file to the samples that an encoder of waveforms reads. No torch."""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.errors import InvalidModel, InvalidValue
from app.media.audio import decode_audio, encode_wav
from app.modalities.audio.frames import ConvolutionFrames
from app.modalities.model_files import read_json
from app.modalities.patch.decoded_media import DecodedMedia

FILE = "preprocessor_config.json"
WINDOW_SECONDS = 30  # longer sounds are encoded in windows, since attention costs the square of the length
Floats = NDArray[np.float32]

# Architectures of transformers, with the class that encodes.
WAVEFORM_MODELS = {
    "data2vec-audio": "Data2VecAudioModel",
    "hubert": "HubertModel",
    "wav2vec2": "Wav2Vec2Model",
    "wavlm": "WavLMModel",
}


@dataclass(frozen=True)
class WaveformProcessor:
    """The FileProcessor of waveforms.

    sample_rate: in Hz. normalises: each window is brought to mean 0 and variance 1. least: samples that the model needs
    for one frame.
    """

    sample_rate: int
    normalises: bool
    least: int

    def read(self, content: bytes) -> DecodedMedia:
        """One window [1, S, 1] of the whole sound; `times` says how it is cut. Raises InvalidValue for short ones."""
        samples = decode_audio(content, sample_rate=self.sample_rate)
        if len(samples) < self.least:
            raise InvalidValue(
                f"the sound has {len(samples)} samples at {self.sample_rate} Hz; the model needs {self.least}",
                param="input",
            )
        times = tuple(pairwise(edge / self.sample_rate for edge in self._edges(len(samples))))
        return DecodedMedia(samples.astype(np.float32)[None, :, None], times=times)

    def windows(self, media: DecodedMedia) -> list[Floats]:
        """The windows of a sound, as the model reads them."""
        samples = media.windows[0, :, 0]
        edges = self._edges(len(samples))
        return [self.normalise(samples[start:end]) for start, end in pairwise(edges)]

    def normalise(self, window: Floats) -> Floats:
        """Returns a window as the model reads it: [S] → [S]"""
        if not self.normalises:
            return window
        normalised: Floats = (window - window.mean()) / np.sqrt(window.var() + 1e-7)
        return normalised

    def example(self) -> bytes:
        return encode_wav(np.zeros(2 * self.least, np.float32), self.sample_rate)

    def _edges(self, length: int) -> list[int]:
        """Samples where windows begin and end. What is too short for a window of its own stays with the one before."""
        size = WINDOW_SECONDS * self.sample_rate
        starts = list(range(0, length, size))
        if len(starts) > 1 and length - starts[-1] < self.least:
            starts.pop()
        return [*starts, length]


def load_waveform_processor(folder: Path, frames: ConvolutionFrames) -> WaveformProcessor:
    """By the folder's preprocessor_config.json. Raises InvalidModel for one that transformers reads otherwise."""
    config = read_json(folder / FILE)
    kind = str(config.get("feature_extractor_type")) if isinstance(config, dict) else "unknown"
    if kind != "Wav2Vec2FeatureExtractor":
        raise InvalidModel(f"{FILE}: the processor {kind} is not supported; Wav2Vec2FeatureExtractor is")
    rate, channels = config.get("sampling_rate", 16_000), config.get("feature_size", 1)
    if not isinstance(rate, int) or not 1000 <= rate <= 192_000 or channels != 1:
        raise InvalidModel(f"{FILE}: sounds of {channels} channels at {rate} Hz are not supported")
    return WaveformProcessor(rate, bool(config.get("do_normalize", True)), frames.samples(1))
