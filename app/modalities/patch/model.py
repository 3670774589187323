"""Interfaces of architectures and modalities of patches."""

from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

from app.modalities.patch.decoded_media import DecodedMedia, FileProcessor
from app.modalities.patch.grid import PatchGrid
from app.modalities.reconstruction import MaskRequest

Loss = Literal["mse", "l1"]


class PatchModel(Protocol):
    """One architecture's way of being asked. Called by one thread at a time.

    loss: between predicted and true masked patches. normalises: they are predicted each in its own mean
    and deviation (`norm_pix_loss`). decodes: without a decoder it only embeds. class_tokens: how many
    tokens of `encode` come before the patches, the class token first. dimensions: of each token.
    """

    model: PreTrainedModel
    grid: PatchGrid
    loss: Loss
    normalises: bool
    decodes: bool
    class_tokens: int
    dimensions: int

    def predict(self, pixels: Tensor, mask: Tensor) -> Tensor:
        """The masked patches, in the order of the grid, from the visible ones alone.

        pixels [B, *sizes, C] normalised, mask [B, N] bool with n masked in every row → [B, n, P].
        """
        ...

    def encode(self, pixels: Tensor) -> Tensor:
        """All patches seen, in order. pixels [B, *sizes, C] normalised → [B, class_tokens + N, dimensions]."""
        ...


class MediaProcessor(FileProcessor, Protocol):
    """A modality's way from a file to windows. Thread-safe; raises AppErrors for the file's own faults.

    It is pickled, with what `read` needs, and reads in processes without torch.
    """

    def example(self) -> bytes:
        """A small file that it can read, for the warm-up."""
        ...


class Processor(MediaProcessor, Protocol):
    """A processor of items that are reconstructed, and that models are trained on."""

    def place(self, request: MaskRequest, given: DecodedMedia) -> NDArray[np.bool_]:
        """Boxes and ranges, in the item's own units → the patches that they touch, [W, *grid]."""
        ...

    def panels(
        self, original: NDArray[np.float32], mask: NDArray[np.bool_], predicted: NDArray[np.float32]
    ) -> NDArray[np.uint8]:
        """One picture [H, W, 3] of a window: original | masked parts in grey | predicted. All [*sizes, …] in [0, 1]."""
        ...

    def save(self, folder: Path) -> None:
        """Writes the processor files that it is made from again."""
        ...


def positions(mask: Tensor) -> Tensor:
    """Returns the indices of masked patches: mask [B, N] with n a row → [B, n] int64, ascending."""
    count = int(mask[0].sum())
    return ordered(mask)[:, mask.shape[1] - count :]


def ordered(mask: Tensor) -> Tensor:
    """Visible patches first, then masked ones, each in the order of the grid: [B, N] → [B, N] int64."""
    return noise(mask).argsort(dim=1)


def noise(mask: Tensor) -> Tensor:
    """Returns ViTMAE's sorting noise that masks exactly `mask` and keeps the order. [B, N] float32"""
    length = mask.shape[1]
    return mask.float() * length + torch.arange(length, device=mask.device)


def rows_at(values: Tensor, where: Tensor) -> Tensor:
    """values [B, N, X], where [B, n] → [B, n, X]"""
    return values.gather(1, where.unsqueeze(-1).expand(-1, -1, values.shape[-1]))
