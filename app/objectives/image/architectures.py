"""ViTMAEForPreTraining and ViTForMaskedImageModeling, asked in the way that all models of patches are."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedModel

from app.objectives.patch.model import Loss, noise, positions, rows_at
from app.objectives.patches import PatchGrid


class MaeModel:
    """ViTMAE: the encoder sees the visible patches only (arXiv 2111.06377)."""

    loss: Loss = "mse"
    class_tokens = 1

    def __init__(self, model: PreTrainedModel, *, decodes: bool) -> None:
        self.model, self.decodes = model, decodes
        self.grid = grid_of(model)
        self.normalises = bool(model.config.norm_pix_loss)

    def predict(self, pixels: Tensor, hidden: Tensor) -> Tensor:
        with visible_patches(self.model, int((~hidden[0]).sum())):
            seen = self.model.base_model(channels_first(pixels), noise=noise(hidden))
        decoded = cast(nn.Module, self.model.decoder)(seen.last_hidden_state, seen.ids_restore).logits  # [B, N, P]
        return rows_at(decoded, positions(hidden))

    def encode(self, pixels: Tensor) -> Tensor:
        order = torch.arange(self.grid.count, device=pixels.device, dtype=torch.float32).expand(len(pixels), -1)
        with visible_patches(self.model, self.grid.count):
            return cast(Tensor, self.model.base_model(channels_first(pixels), noise=order).last_hidden_state)


class SimMimModel:
    """ViT with a linear head: hidden patches are mask tokens, and all are encoded (arXiv 2111.09886)."""

    loss: Loss = "l1"
    class_tokens = 1
    normalises = False

    def __init__(self, model: PreTrainedModel, *, decodes: bool) -> None:
        self.model, self.decodes = model, decodes
        self.grid = grid_of(model)

    def predict(self, pixels: Tensor, hidden: Tensor) -> Tensor:
        encoded = self.model.base_model(channels_first(pixels), bool_masked_pos=hidden).last_hidden_state[:, 1:]
        head = cast(nn.Sequential, self.model.decoder)[0]
        assert isinstance(head, nn.Conv2d)  # of one pixel: a linear layer, needed at the hidden patches only
        rows = F.linear(rows_at(encoded, positions(hidden)), head.weight.flatten(1), head.bias)
        by_channel = rows.reshape(*rows.shape[:2], self.grid.channels, -1)  # as the pixel shuffle reads them
        return by_channel.transpose(-1, -2).flatten(-2)

    def encode(self, pixels: Tensor) -> Tensor:
        return cast(Tensor, self.model.base_model(channels_first(pixels)).last_hidden_state)


@contextmanager
def visible_patches(model: PreTrainedModel, count: int) -> Iterator[None]:
    """Within it ViTMAE, which takes its ratio from its configuration, sees `count` patches. One thread at a time."""
    config = model.config
    patches = grid_of(model).count
    trained = config.mask_ratio
    config.mask_ratio = 1 - (count + 0.5) / patches  # it rounds patches × (1 - ratio) down
    try:
        yield
    finally:
        config.mask_ratio = trained


def grid_of(model: PreTrainedModel) -> PatchGrid:
    """As the configuration has it; `image_size` may be (rows, columns)."""
    size, patch = model.config.image_size, int(model.config.patch_size)
    sizes = (size, size) if isinstance(size, int) else tuple(size)
    return PatchGrid(sizes, (patch, patch), int(model.config.num_channels))


def channels_first(pixels: Tensor) -> Tensor:
    """[B, H, W, C] → [B, C, H, W]"""
    return pixels.permute(0, 3, 1, 2)
