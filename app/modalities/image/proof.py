"""The proof that Cloze runs an encoder right: its processor and its batches against transformers, in float32."""

import copy
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from app.errors import InvalidModel
from app.media.images import encode_png
from app.modalities.image.architectures import SimMimModel
from app.modalities.image.encoder_processor import EncoderProcessor
from app.modalities.model_files import first_line
from app.modalities.patch.mae import channels_first
from app.modalities.patch.model import PatchModel
from app.modalities.patch.normalizer import PatchNormalizer

_SHAPES = ((240, 320), (301, 203), (64, 64))  # of the images, in pixels: wide, tall, and smaller than most models read
STEP = 1.5 / 255  # of a pixel: Pillow may round otherwise where only a part is resized
_TOLERANCE = 1e-4  # of the largest number, for sums in another order


def prove_encoder(patch_model: PatchModel, processor: EncoderProcessor, space: PatchNormalizer, folder: Path) -> None:
    """Compares a few images, alone and in one batch, with what transformers gives for each.

    Raises InvalidModel where they differ, or where the model cannot be run.
    """
    files = [encode_png(draw_picture(seed, shape, processor.grid.channels)) for seed, shape in enumerate(_SHAPES)]
    read = [space.normalise(processor.read(file).windows) for file in files]
    try:
        _check_pixels(files, read, processor, folder)
        with torch.inference_mode():
            _check_model(patch_model, [torch.from_numpy(each) for each in read])
    except InvalidModel:
        raise
    except Exception as error:  # of any of transformers' models and processors
        raise InvalidModel(f"the model cannot be run: {first_line(error)}") from error


def draw_picture(seed: int, shape: tuple[int, int], channels: int) -> NDArray[np.uint8]:
    """A smooth picture with some noise."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize(shape[::-1], Image.Resampling.BICUBIC)).astype(int)
    noisy = np.clip(smooth + rng.integers(-20, 21, smooth.shape), 0, 255).astype(np.uint8)
    return noisy[..., :channels]


def _check_pixels(
    files: Sequence[bytes], read: Sequence[NDArray[np.float32]], processor: EncoderProcessor, folder: Path
) -> None:
    """Transformers without torchvision has no DINOv3 processor to compare with: it resizes before rounding."""
    if processor.rescales_first:
        return
    reference = getattr(transformers, f"{processor.kind}ImageProcessorPil").from_pretrained(
        folder, local_files_only=True
    )
    for file, ours in zip(files, read, strict=True):
        theirs = reference(Image.open(io.BytesIO(file)), return_tensors="np")["pixel_values"]
        if theirs.shape != np.moveaxis(ours, -1, 1).shape:
            raise InvalidModel(f"transformers' processor gives images {theirs.shape}, which are not supported")
        difference = np.abs(np.moveaxis(theirs, 1, -1) - ours) * np.asarray(processor.std, np.float32)
        if difference.max() > STEP:
            raise InvalidModel("images are not prepared as transformers' own processor prepares them")


def _check_model(patch_model: PatchModel, images: Sequence[Tensor]) -> None:
    if patch_model.model.dtype != torch.float32:
        patch_model = copy.deepcopy(patch_model)
        patch_model.model.float()
    _check_states(patch_model, images)
    if isinstance(patch_model, SimMimModel):
        _check_predictions(patch_model, images)


def _check_states(patch_model: PatchModel, images: Sequence[Tensor]) -> None:
    expected = [_by_transformers(patch_model, image) for image in images]
    tokens = patch_model.class_tokens + patch_model.grid.count
    if expected[0].shape != (tokens, patch_model.dimensions) or not all(each.isfinite().all() for each in expected):
        raise InvalidModel(f"the model gives hidden states {tuple(expected[0].shape)} that are not supported")
    batch_outputs = patch_model.encode(torch.cat(list(images)))
    for image, wanted, batched in zip(images, expected, batch_outputs, strict=True):
        if not (is_close(batched, wanted) and is_close(patch_model.encode(image)[0], wanted)):
            raise InvalidModel(
                "the model cannot be served: a batch of images gives other results than each image alone"
            )


def _check_predictions(patch_model: SimMimModel, images: Sequence[Tensor]) -> None:
    grid = patch_model.grid
    mask = torch.zeros(1, grid.count, dtype=torch.bool)
    mask[:, ::3] = True
    batch_outputs = patch_model.predict(torch.cat(list(images)), mask.expand(len(images), -1))
    for image, predicted in zip(images, batch_outputs, strict=True):
        model: Any = patch_model.model
        whole = model(channels_first(image), bool_masked_pos=patch_model.expand_mask(mask)).reconstruction
        expected = grid.cut(np.moveaxis(whole.numpy(), 1, -1))[mask.numpy()]
        if not is_close(predicted, torch.from_numpy(expected)):
            raise InvalidModel("the model cannot be served: masked patches are not predicted as transformers does")


def _by_transformers(patch_model: PatchModel, image: Tensor) -> Tensor:
    """The last hidden states of one image: [tokens, H]"""
    model: Any = patch_model.model.base_model if patch_model.decodes else patch_model.model
    states: Tensor = model(pixel_values=channels_first(image)).last_hidden_state[0]
    return states


def is_close(one: Tensor, other: Tensor) -> bool:
    return bool((one - other).abs().max() <= _TOLERANCE * max(1.0, float(other.abs().max())))
