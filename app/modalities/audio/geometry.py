"""Masks, patches and stored frames of sounds."""

import math
from collections.abc import Mapping
from typing import Any

from app.media.lengths import Length
from app.methods.audio import AudioMaeHyperparameters, geometry, spectrogram
from app.modalities.patch.geometry import Geometry
from app.modalities.patch.grid import PatchGrid
from app.modalities.patch.masking import SPECTROGRAM_SAMPLERS, MaskDefaults

# AudioMAE (arXiv 2207.06405), section 4.4
MASKS = MaskDefaults("random", 0.8, SPECTROGRAM_SAMPLERS, eval_ratio=0.8)


def audio_geometry(config: Mapping[str, Any], hp: AudioMaeHyperparameters) -> Geometry:
    """A row is a frame of the spectrogram, in float16."""
    frames, bands, patch = geometry(config, hp)
    mel = spectrogram(config, hp)
    rate: float = mel["sample_rate"] / mel["hop_length"]

    def rows(length: Length) -> int:
        return max(1, math.ceil(length.seconds * rate))

    grid = PatchGrid((frames, bands), (patch, patch), 1)
    return Geometry(grid, MASKS.of_model(config), (bands,), "float16", frames, rows)
