"""ViTForMaskedImageModeling, asked in the way that all models of patches are; ViTMAE is in patch/mae."""

from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedModel

from app.modalities.patch.mae import channels_first, grid_of
from app.modalities.patch.model import Loss, positions, rows_at


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
