"""Sounds as training stores them."""

from functools import partial

from app.errors import InvalidData
from app.media.accepted import SOUNDS
from app.modalities.audio.mel import CEILING, FLOOR, Floats
from app.modalities.audio.processor import AudioProcessor
from app.modalities.patch.decoding import Decoding
from app.modalities.patch.geometry import Geometry


def audio_decoding(geometry: Geometry, processor: AudioProcessor) -> Decoding:
    """Levels, a row a frame; those of a sound that is silent throughout teach nothing and are refused."""
    name = f"{processor.mel} {FLOOR} {CEILING}"
    return Decoding(SOUNDS, name, geometry.row_shape, geometry.dtype, partial(_levels, processor))


def _levels(processor: AudioProcessor, data: bytes) -> Floats:
    levels = processor.levels(data)
    if not levels.any():
        raise InvalidData("the sound is silent throughout")
    return levels
