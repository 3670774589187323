"""A model of patches with its modality's reader, and what it can do."""

import copy
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedModel

from app.media.images import encode_png
from app.media.panels import stack
from app.modalities.base import TaskHandler
from app.modalities.patch.embed import Embed
from app.modalities.patch.masking import MaskDefaults
from app.modalities.patch.model import PatchModel, Processor
from app.modalities.patch.normalizer import SAME, PatchNormalizer, Targets
from app.modalities.patch.pretrain import PatchBatch, PatchPretraining, as_unit
from app.modalities.patch.reconstruct import Reconstruct
from app.modalities.text.items import TokenInfo
from app.types import Task


class PatchObjective(PatchPretraining):
    """The base of objectives of patches; each modality adds `modality`.

    mean, std: of each channel, as the model's inputs are normalised.
    new_head: the decoder is random yet, for training to fill.
    """

    modality: str
    mask_token: str | None = None
    max_length: int | None = None
    dimensions: int | None = None
    reads_text = False

    def tokenize(self, text: str, add_special_tokens: bool = True) -> Iterator[TokenInfo]:
        raise NotImplementedError(f"a model of {self.modality} has no tokenizer")

    def __init__(
        self,
        patch_model: PatchModel,
        reader: Processor,
        masks: MaskDefaults,
        *,
        mean: Sequence[float],
        std: Sequence[float],
        new_head: bool = False,
        targets: Targets = SAME,
    ) -> None:
        self.patch_model, self.reader, self.masks, self.new_head = patch_model, reader, masks, new_head
        self.model: PreTrainedModel = patch_model.model.eval()
        self.space = PatchNormalizer(
            patch_model.grid,
            np.asarray(mean, np.float32),
            np.asarray(std, np.float32),
            squared=patch_model.loss == "mse",
            normalises=patch_model.normalises,
            targets=targets,
        )
        self.tasks: dict[Task, TaskHandler] = {Task.EMBED: Embed(patch_model, self.space, reader, self.modality)}
        if patch_model.decodes:
            self.tasks[Task.RECONSTRUCT] = Reconstruct(patch_model, self.space, reader, masks)

    def parameter_count(self) -> int:
        return sum(p.numel() for p in self.model.parameters())

    def to(self, device: torch.device, dtype: torch.dtype) -> None:
        nn.Module.to(self.model, device, dtype)

    def save(self, folder: Path, dtype: torch.dtype) -> None:
        """Writes the model, which itself stays as it is, and the files of its reader."""
        exported = copy.deepcopy(self.model)
        nn.Module.to(exported, "cpu", dtype)
        exported.save_pretrained(folder)
        self.reader.save(folder)

    @torch.no_grad()
    def illustrate(self, batch: PatchBatch) -> tuple[str, bytes]:
        """(file ending, content) of a picture of what the model makes of a batch on its device."""
        windows, hidden = as_unit(batch.pixels.cpu().numpy()), batch.hidden.cpu().numpy()
        predicted = [scores.predicted for scores in self.scored(batch, self.predict(batch))]
        shown = [
            self.reader.panels(window, self.space.grid.enlarge(mask), guess)
            for window, mask, guess in zip(windows, hidden, predicted, strict=True)
        ]
        return "png", encode_png(stack(shown))
