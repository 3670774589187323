"""Pretraining methods: presets, hyperparameters, their ranges and defaults.

The API validates with them before a job is queued, and the worker trains by them. The package imports no torch.
A method is the wire name of an objective, as in OpenAI's API: `"method": {"type": "mlm", "mlm": {...}}`.
A new modality is one module here and one line in METHODS.
"""

from collections.abc import Mapping
from typing import Any

from app.methods import audio, contrastive, image, text, video
from app.methods.audio import AudioMaeHyperparameters
from app.methods.base import MediaHyperparameters, Method, TrainingHyperparameters
from app.methods.contrastive import ContrastiveHyperparameters
from app.methods.image import ImageHyperparameters, MaeHyperparameters, SimMimHyperparameters
from app.methods.patches import PatchHyperparameters
from app.methods.text import TEXT_PRESETS, MlmHyperparameters
from app.methods.video import VideoMaeHyperparameters
from app.methods.wav2vec2 import Wav2Vec2Hyperparameters

__all__ = [
    "METHODS",
    "TEXT_PRESETS",
    "AudioMaeHyperparameters",
    "ContrastiveHyperparameters",
    "ImageHyperparameters",
    "MaeHyperparameters",
    "MediaHyperparameters",
    "Method",
    "MlmHyperparameters",
    "PatchHyperparameters",
    "SimMimHyperparameters",
    "TrainingHyperparameters",
    "VideoMaeHyperparameters",
    "Wav2Vec2Hyperparameters",
    "method_for",
    "preset",
]

METHODS: dict[str, Method] = {
    **text.METHODS,
    **contrastive.METHODS,
    **image.METHODS,
    **audio.METHODS,
    **video.METHODS,
}


def preset(name: str) -> Mapping[str, Any] | None:
    """Returns the configuration of a preset, or None if no method has it."""
    return next((m.presets[name] for m in METHODS.values() if name in m.presets), None)


def method_for(model: str, modality: str | None = None, architecture: str | None = None) -> str | None:
    """Returns the method of a preset, or the first one that continues a stored model; None if there is none."""
    for name, method in METHODS.items():
        continues = method.modality == modality and (not method.architectures or architecture in method.architectures)
        if model in method.presets or continues:
            return name
    return None
