"""The Audio Spectrogram Transformer (arXiv 2104.01778), which embeds."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from transformers import ASTFeatureExtractor, ASTModel, PreTrainedModel

from app.errors import InvalidModel
from app.modalities.audio.ast_processor import SAMPLE_RATE, AstProcessor, load_ast_processor
from app.modalities.base import AnyHandler
from app.modalities.model_files import first_line, read_config
from app.modalities.patch.checkpoint import load_masked
from app.modalities.patch.embed import PatchEmbed
from app.modalities.patch.grid import PatchGrid
from app.modalities.patch.model import Loss
from app.modalities.patch.normalizer import PatchNormalizer
from app.modalities.served_model import ServedModel
from app.types import ModalityName, Task

MODEL_TYPES = frozenset({"audio-spectrogram-transformer"})
_PROOF_SECONDS = (0.4, 1.3)
_TOLERANCE = 1e-4  # of the largest number, for sums in another order


@dataclass(frozen=True)
class OverlappingGrid(PatchGrid):
    """A grid whose patches overlap: each begins `stride` after the last, along the same axes."""

    stride: tuple[int, ...]

    def __post_init__(self) -> None:
        for size, patch, stride in zip(self.sizes, self.patch, self.stride, strict=True):
            if not (0 < patch <= size and stride > 0):
                raise ValueError(f"{self.sizes} cannot be cut into patches of {self.patch}, {self.stride} apart")

    @property
    def shape(self) -> tuple[int, ...]:
        axes = zip(self.sizes, self.patch, self.stride, strict=True)
        return tuple((size - patch) // stride + 1 for size, patch, stride in axes)

    def rows(self, length: int) -> int:
        return min(-(-length // self.stride[0]), self.shape[0])


class AstEncoderModel:
    """AST as a model of patches: time by time, where transformers has band by band."""

    loss: Loss = "mse"
    decodes = False
    normalises = False
    class_tokens = 2  # the class token and the distillation token

    def __init__(self, model: PreTrainedModel, grid: PatchGrid) -> None:
        self.model, self.grid, self.dimensions = model, grid, int(model.config.hidden_size)

    def predict(self, pixels: Tensor, mask: Tensor) -> Tensor:
        raise NotImplementedError("an encoder alone predicts no patches")

    def encode(self, pixels: Tensor) -> Tensor:
        states = cast(Tensor, self.model(pixels[..., 0]).last_hidden_state)
        times, bands = self.grid.shape
        by_band = states[:, self.class_tokens :].reshape(len(states), bands, times, -1)
        patches = by_band.transpose(1, 2).flatten(1, 2)
        return torch.cat([states[:, : self.class_tokens], patches], 1)


class AstEncoder(ServedModel):
    """An encoder of filter banks that is served and not trained."""

    modality = ModalityName.AUDIO
    model: PreTrainedModel

    def __init__(self, patch_model: AstEncoderModel, processor: AstProcessor) -> None:
        self.model, self.processor, self.patch_model = patch_model.model.eval(), processor, patch_model
        self.dimensions = patch_model.dimensions
        mean, std = (np.array([value], np.float32) for value in (processor.mean, processor.std))
        self.space = PatchNormalizer(patch_model.grid, mean, std, squared=True, normalises=False)
        self.tasks: dict[Task, AnyHandler] = {Task.EMBED: PatchEmbed(patch_model, self.space, processor, self.modality)}

    def to(self, device: torch.device, dtype: torch.dtype) -> None:
        nn.Module.to(self.model, device, dtype)


def load_ast(folder: Path, *, dtype: torch.dtype = torch.float32) -> AstEncoder:
    """Loads an AST, in `dtype` on the CPU. One that comes from outside is compared with transformers.

    Raises InvalidModel for everything that cannot be or must not be loaded, and for wrong results.
    """
    read_config(folder, MODEL_TYPES, "an audio spectrogram transformer")
    model, _ = load_masked(ASTModel, folder, (), {}, dtype)
    grid = _grid(model.config.to_dict())
    encoder = AstEncoder(AstEncoderModel(model, grid), load_ast_processor(folder, *grid.sizes))
    if not (folder / "manifest.json").is_file():
        try:
            _prove(encoder, folder)
        except InvalidModel:
            raise
        except Exception as error:  # of any of transformers' models and processors
            raise InvalidModel(f"the model cannot be run: {first_line(error)}") from error
    return encoder


def _grid(config: Mapping[str, Any]) -> OverlappingGrid:
    sizes, patch = (config["max_length"], config["num_mel_bins"]), (config["patch_size"],) * 2
    try:
        return OverlappingGrid(sizes, patch, 1, (config["time_stride"], config["frequency_stride"]))
    except (TypeError, ValueError) as error:
        raise InvalidModel(f"the patches of the model's configuration are not supported: {error}") from error


@torch.inference_mode()
def _prove(encoder: AstEncoder, folder: Path) -> None:
    """Compares a few sounds, alone and in one batch, with what transformers gives for each, in float32."""
    processor, rng = encoder.processor, np.random.default_rng(0)
    patch_model = AstEncoderModel(copy.deepcopy(encoder.model).float(), encoder.patch_model.grid)
    extractor: Any = ASTFeatureExtractor.from_pretrained(folder, local_files_only=True)
    sounds = [rng.normal(0.05, 0.2, round(s * SAMPLE_RATE)).astype(np.float32) for s in _PROOF_SECONDS]
    values = torch.cat([extractor(s, sampling_rate=SAMPLE_RATE, return_tensors="pt")["input_values"] for s in sounds])
    for sound, theirs in zip(sounds, values, strict=True):
        banks = encoder.space.normalise(processor.filter_banks(sound)[: processor.frames, :, None])[..., 0]
        if np.abs(banks - theirs[: len(banks)].numpy()).max() > 1e-3:  # torchaudio, where it is, sums in float32
            raise InvalidModel("sounds are not prepared as transformers' own processor prepares them")
    batch_outputs = patch_model.encode(values[..., None])
    for each, batched in zip(values, batch_outputs, strict=True):
        alone = patch_model.encode(each[None, ..., None])[0]
        near = (alone - batched).abs().max() <= _TOLERANCE * max(1.0, float(alone.abs().max()))
        if not (alone.isfinite().all() and near):
            raise InvalidModel("the model cannot be served: a batch of sounds gives other results than each alone")
