"""Sounds as training on waveforms stores them."""

from functools import partial

from app.errors import InvalidData
from app.media.accepted import SOUNDS
from app.media.audio import Samples, decode_audio
from app.modalities.patch.decoding import Decoding

DTYPE = "float32"  # as serving reads them; a row is one sample


def waveform_decoding(sample_rate: int, shortest: int) -> Decoding:
    """Mono samples. Sounds of fewer than `shortest` samples, and those that are silent throughout, are refused."""
    name = f"waveform {sample_rate} {shortest}"
    return Decoding(SOUNDS, name, (), DTYPE, partial(_decode, sample_rate, shortest))


def _decode(sample_rate: int, shortest: int, data: bytes) -> Samples:
    samples = decode_audio(data, sample_rate=sample_rate)
    if len(samples) < shortest:
        raise InvalidData(
            f"the sound has {len(samples)} samples at {sample_rate} Hz; training needs {shortest} or more"
        )
    if not samples.any():
        raise InvalidData("the sound is silent throughout")
    return samples
