"""Image models of transformers, asked in the way that all models of patches are; ViTMAE is in patch/mae."""

from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedModel

from app.modalities.patch.grid import PatchGrid
from app.modalities.patch.mae import channels_first, grid_of
from app.modalities.patch.model import Loss, positions, rows_at


class EncoderOnly:
    """An encoder whose last hidden states are some tokens and then the patches, or the cells of its last stage."""

    loss: Loss = "l1"
    decodes = False
    normalises = False

    def __init__(self, model: PreTrainedModel, grid: PatchGrid, *, class_tokens: int) -> None:
        self.model, self.grid, self.class_tokens = model, grid, class_tokens
        self.dimensions = hidden_size(model.config)

    def predict(self, pixels: Tensor, mask: Tensor) -> Tensor:
        raise NotImplementedError("an encoder alone predicts no patches")

    def encode(self, pixels: Tensor) -> Tensor:
        return cast(Tensor, self.model(pixel_values=channels_first(pixels)).last_hidden_state)


class SimMimModel:
    """An encoder with a linear head: masked patches are mask tokens, and all are encoded (arXiv 2111.09886).

    grid: one cell for each token of the last stage. Where the encoder merges patches, a cell holds several.
    """

    loss: Loss = "l1"
    normalises = False

    def __init__(
        self, model: PreTrainedModel, *, decodes: bool, class_tokens: int = 1, grid: PatchGrid | None = None
    ) -> None:
        self.model, self.decodes, self.class_tokens = model, decodes, class_tokens
        self.grid = grid or grid_of(model)
        self.dimensions = hidden_size(model.config)

    def predict(self, pixels: Tensor, mask: Tensor) -> Tensor:
        seen = self.model.base_model(channels_first(pixels), bool_masked_pos=self.expand_mask(mask))
        encoded = seen.last_hidden_state[:, self.class_tokens :]
        head = cast(nn.Sequential, self.model.decoder)[0]
        assert isinstance(head, nn.Conv2d)  # of one pixel: a linear layer, needed at the masked patches only
        rows = F.linear(rows_at(encoded, positions(mask)), head.weight.flatten(1), head.bias)
        by_channel = rows.reshape(*rows.shape[:2], self.grid.channels, -1)  # as the pixel shuffle reads them
        return by_channel.transpose(-1, -2).flatten(-2)

    def encode(self, pixels: Tensor) -> Tensor:
        return cast(Tensor, self.model.base_model(channels_first(pixels)).last_hidden_state)

    def expand_mask(self, mask: Tensor) -> Tensor:
        """Converts a mask over cells [B, N] to a mask over the patches of the first stage."""
        times = self.grid.patch[0] // int(self.model.config.patch_size)
        if times == 1:
            return mask
        cells = mask.reshape(-1, *self.grid.shape)
        return cells.repeat_interleave(times, 1).repeat_interleave(times, 2).flatten(1)


@torch.no_grad()
def start_head(model: Any) -> None:
    """Initializes a head and a mask token that a checkpoint lacks, as SimMIM's own code does (arXiv 2111.09886)."""
    std = model.config.initializer_range
    nn.init.trunc_normal_(model.base_model.embeddings.mask_token, std=std)
    nn.init.trunc_normal_(model.decoder[0].weight, std=std)
    nn.init.zeros_(model.decoder[0].bias)


def hidden_size(config: Any) -> int:
    """Returns the width of the last hidden states. FocalNet's configuration has the width of its first stage only."""
    return int(getattr(config, "hidden_size", None) or config.embed_dim * 2 ** (len(config.depths) - 1))
