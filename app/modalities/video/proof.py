"""The proof that Cloze runs an encoder of videos right, against transformers in float32."""

import copy
from pathlib import Path

import numpy as np
import torch
import transformers
from PIL import Image

from app.errors import InvalidModel
from app.modalities.image.proof import STEP, draw_picture, is_close
from app.modalities.model_files import first_line
from app.modalities.patch.model import PatchModel
from app.modalities.patch.objective import PatchObjective
from app.modalities.video.encoder_processor import VideoEncoderProcessor

_SHAPES = ((240, 320), (301, 203), (64, 64))  # of the frames, in pixels
_CLIPS = 2
_SHORT = 2  # patches in time of the clips that are compared, where the model reads clips of any length

# Processors that transformers has without torchvision. The others prepare frames alike.
_PIL = {"VideoMAE": "VideoMAEImageProcessorPil", "Vivit": "VivitImageProcessor"}


def prove_video_encoder(encoder: PatchObjective, folder: Path, *, shortens: bool) -> None:
    """Compares frames with transformers' own processor, and clips in one batch with each alone.

    shortens: short clips are enough. Raises InvalidModel where they differ, or where the model cannot be run.
    """
    processor = encoder.processor
    assert isinstance(processor, VideoEncoderProcessor)
    try:
        _check_frames(encoder, processor, folder)
        with torch.inference_mode():
            _check_states(encoder.patch_model, shortens=shortens)
    except InvalidModel:
        raise
    except Exception as error:  # of any of transformers' models and processors
        raise InvalidModel(f"the model cannot be run: {first_line(error)}") from error


def _check_frames(encoder: PatchObjective, processor: VideoEncoderProcessor, folder: Path) -> None:
    name = _PIL.get(processor.pictures.kind)
    if name is None:
        return
    reference = getattr(transformers, name)(**processor.pictures.config)
    for seed, shape in enumerate(_SHAPES):
        frame = draw_picture(seed, shape, 3)
        theirs = np.asarray(reference([Image.fromarray(frame)], return_tensors="np")["pixel_values"])[0, 0]
        ours = np.moveaxis(encoder.space.normalise(processor.pictures.prepare(frame)), -1, 0)
        difference = np.abs(theirs - ours) * np.asarray(processor.std, np.float32)[:, None, None]
        if theirs.shape != ours.shape or difference.max() > STEP:
            raise InvalidModel("frames are not prepared as transformers' own processor prepares them")


def _check_states(patch_model: PatchModel, *, shortens: bool) -> None:
    if patch_model.model.dtype != torch.float32:
        patch_model = copy.deepcopy(patch_model)
        patch_model.model.float()
    grid = patch_model.grid.first(min(_SHORT, patch_model.grid.shape[0])) if shortens else patch_model.grid
    generator = torch.Generator().manual_seed(0)
    clips = torch.randn(_CLIPS, *grid.sizes, grid.channels, generator=generator)
    batch_outputs = patch_model.encode(clips)
    for clip, batched in zip(clips, batch_outputs, strict=True):
        alone = patch_model.encode(clip[None])[0]
        if alone.shape != (patch_model.class_tokens + grid.count, patch_model.dimensions):
            raise InvalidModel(f"the model gives hidden states {tuple(alone.shape)} that are not supported")
        if not (alone.isfinite().all() and is_close(batched, alone)):
            raise InvalidModel("the model cannot be served: a batch of clips gives other results than each clip alone")
