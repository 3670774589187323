"""A model of patches with its modality's processor, and what it can do."""

import copy
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedModel

from app.media.images import encode_png
from app.media.panels import stack
from app.modalities.base import AnyHandler
from app.modalities.patch.embed import PatchEmbed
from app.modalities.patch.masking import MaskDefaults
from app.modalities.patch.model import PatchModel, Processor
from app.modalities.patch.normalizer import SAME, PatchNormalizer, Targets
from app.modalities.patch.pretrain import MaskedItem, PatchBatch, PatchPretraining, Sample, as_unit
from app.modalities.patch.reconstruct import Reconstruct
from app.modalities.served_model import MaskedModel
from app.types import Task


class PatchObjective(PatchPretraining, MaskedModel[Sample, MaskedItem, PatchBatch]):
    """The base of objectives of patches; each modality adds `modality`.

    mean, std: of each channel, as the model's inputs are normalised.
    new_head: the decoder is random yet, for training to fill.
    """

    modality: str
    model: PreTrainedModel

    def __init__(
        self,
        patch_model: PatchModel,
        processor: Processor,
        mask_defaults: MaskDefaults,
        *,
        mean: Sequence[float],
        std: Sequence[float],
        new_head: bool = False,
        targets: Targets = SAME,
    ) -> None:
        self.patch_model, self.processor = patch_model, processor
        self.mask_defaults, self.new_head = mask_defaults, new_head
        self.model = patch_model.model.eval()
        self.dimensions = patch_model.dimensions
        self.space = PatchNormalizer(
            patch_model.grid,
            np.asarray(mean, np.float32),
            np.asarray(std, np.float32),
            squared=patch_model.loss == "mse",
            normalises=patch_model.normalises,
            targets=targets,
        )
        self.tasks: dict[Task, AnyHandler] = {Task.EMBED: PatchEmbed(patch_model, self.space, processor, self.modality)}
        if patch_model.decodes:
            self.tasks[Task.RECONSTRUCT] = Reconstruct(patch_model, self.space, processor, mask_defaults)

    def to(self, device: torch.device, dtype: torch.dtype) -> None:
        nn.Module.to(self.model, device, dtype)

    def save(self, folder: Path, dtype: torch.dtype) -> None:
        """Writes the model, which itself stays as it is, and the files of its processor."""
        exported = copy.deepcopy(self.model)
        nn.Module.to(exported, "cpu", dtype)
        exported.save_pretrained(folder)
        self.processor.save(folder)

    @torch.no_grad()
    def illustrate(self, batch: PatchBatch) -> tuple[str, bytes]:
        """(file ending, content) of a picture of what the model makes of a batch on its device."""
        windows, masks = as_unit(batch.pixels.cpu().numpy()), batch.mask.cpu().numpy()
        predicted = [scores.predicted for scores in self.scored(batch, self.predict(batch))]
        shown = [
            self.processor.panels(window, self.space.grid.enlarge(mask), guess)
            for window, mask, guess in zip(windows, masks, predicted, strict=True)
        ]
        return "png", encode_png(stack(shown))
