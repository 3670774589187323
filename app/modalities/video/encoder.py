"""A folder of an encoder of videos → VideoEncoder, with nothing in it executed."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
import transformers
from torch import Tensor
from transformers import PreTrainedModel

from app.errors import InvalidModel
from app.modalities.model_files import read_config
from app.modalities.patch.checkpoint import load_masked
from app.modalities.patch.grid import PatchGrid
from app.modalities.patch.model import Loss
from app.modalities.patch.objective import PatchObjective
from app.modalities.video.architectures import channels_first
from app.modalities.video.encoder_processor import VideoEncoderProcessor, load_video_processor
from app.modalities.video.encoder_types import VIDEO_ENCODERS, VideoEncoderType
from app.modalities.video.geometry import MASKS
from app.modalities.video.proof import prove_video_encoder
from app.types import ModalityName

# Parts that the last hidden states do not depend on. A checkpoint may lack their tensors.
_UNUSED = ("pooler", "predictor")


class VideoEncoderModel:
    """An encoder whose last hidden states are some tokens and then the patches of a clip, in transformers' order."""

    loss: Loss = "mse"
    decodes = False
    normalises = False

    def __init__(self, model: PreTrainedModel, grid: PatchGrid, kind: VideoEncoderType) -> None:
        self.model, self.grid, self.class_tokens = model, grid, kind.class_tokens
        self.dimensions = int(model.config.hidden_size)
        self._pixels, self._arguments = kind.pixels, dict(kind.arguments or {})

    def predict(self, pixels: Tensor, mask: Tensor) -> Tensor:
        raise NotImplementedError("an encoder alone predicts no patches")

    def encode(self, pixels: Tensor) -> Tensor:
        outputs = self.model(**{self._pixels: channels_first(pixels)}, **self._arguments)
        return cast(Tensor, outputs.last_hidden_state)


class VideoEncoder(PatchObjective):
    """An encoder of videos that is served and not trained."""

    modality = ModalityName.VIDEO
    processor: VideoEncoderProcessor

    def __init__(self, patch_model: VideoEncoderModel, processor: VideoEncoderProcessor) -> None:
        super().__init__(patch_model, processor, MASKS, mean=processor.mean, std=processor.std)


def load_video_encoder(folder: Path, *, dtype: torch.dtype = torch.float32) -> VideoEncoder:
    """Loads one of VIDEO_ENCODERS, in `dtype` on the CPU. One that comes from outside is compared with transformers.

    Raises InvalidModel for everything that cannot be or must not be loaded, and for wrong results.
    """
    config = read_config(folder, VIDEO_ENCODERS, "an encoder of videos")
    kind = VIDEO_ENCODERS[str(config["model_type"])]
    model_class = getattr(transformers, kind.model_class)
    unused = tuple(f"{start}{part}." for part in _UNUSED for start in ("", f"{model_class.base_model_prefix}."))
    model, _ = load_masked(model_class, folder, unused, {}, dtype)
    for part in _UNUSED:
        if hasattr(model, part):
            setattr(model, part, None)
    grid = _grid(kind, model.config.to_dict())
    processor = load_video_processor(folder, kind.processor, grid)
    encoder = VideoEncoder(VideoEncoderModel(model, grid, kind), processor)
    if not (folder / "manifest.json").is_file():
        prove_video_encoder(encoder, folder, shortens=kind.any_length)
    return encoder


def _grid(kind: VideoEncoderType, config: Mapping[str, Any]) -> PatchGrid:
    try:
        return kind.grid(config)
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidModel(f"the clips of the model's configuration are not supported: {error}") from error
