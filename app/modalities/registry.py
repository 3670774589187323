"""Which code loads a model folder. A new modality is one line in each table."""

from collections.abc import Callable
from pathlib import Path

import torch

from app.errors import InvalidModel
from app.modalities.audio import load as audio
from app.modalities.audio.processor import is_audio
from app.modalities.base import Objective
from app.modalities.image import load as image
from app.modalities.model_files import read_json
from app.modalities.text import load as text
from app.modalities.video import load as video
from app.types import Modality

LOADERS: dict[Modality, Callable[..., Objective]] = {
    Modality.TEXT: text.load_text,
    Modality.VIDEO: video.load_video,
    Modality.IMAGE: image.load_image,
    Modality.AUDIO: audio.load_audio,
}
MODEL_TYPES: dict[str, Modality] = {
    **dict.fromkeys(text.MODEL_TYPES, Modality.TEXT),
    **dict.fromkeys(video.MODEL_TYPES, Modality.VIDEO),
    **dict.fromkeys(image.MODEL_TYPES, Modality.IMAGE),
}
# What tells a modality whose architecture is another's too.
MARKERS: dict[Modality, Callable[[Path], bool]] = {Modality.AUDIO: is_audio}


def load(folder: Path, dtype: torch.dtype = torch.float32) -> Objective:
    """Loads the model in `folder` on the CPU, by its manifest's modality or else its processor file and model_type.

    Raises InvalidModel for a folder that holds none.
    """
    return LOADERS[modality(folder)](folder, dtype=dtype)


def modality(folder: Path) -> Modality:
    """Raises InvalidModel where neither manifest.json nor config.json tells."""
    if (folder / "manifest.json").is_file():
        name = read_json(folder / "manifest.json").get("modality")
        found = next((m for m in LOADERS if m == name), None)
        if found is None:
            raise InvalidModel(f"no model of modality {name!r} can be loaded")
        return found
    if marked := next((m for m, is_marked in MARKERS.items() if is_marked(folder)), None):
        return marked
    model_type = str(read_json(folder / "config.json").get("model_type"))
    if model_type not in MODEL_TYPES:
        raise InvalidModel(f"model_type {model_type!r} is not one of {', '.join(sorted(MODEL_TYPES))}")
    return MODEL_TYPES[model_type]
