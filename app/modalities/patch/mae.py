"""ViTMAEForPreTraining on any grid of patches, for every modality whose items are pictures to it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

import torch
import transformers
from torch import Tensor, nn
from transformers import PreTrainedModel, ViTMAEConfig, ViTMAEModel
from transformers.models.vit_mae.modeling_vit_mae import ViTMAEDecoder, ViTMAEPreTrainedModel

from app.modalities.patch.grid import PatchGrid, position_table
from app.modalities.patch.model import Loss, noise, positions, rows_at

# What an encoder that was saved without a head for masked patches lacks, beside the decoder itself.
HEAD = ("decoder.", "vit.embeddings.mask_token")


class _Decoder(ViTMAEDecoder):
    def initialize_weights(self, num_patches: int) -> None:
        """Nothing: the constructor of transformers 5.23 takes every number of patches for a square here, and fails."""


class ViTMAEForPreTraining(transformers.ViTMAEForPreTraining):
    """transformers' ViTMAEForPreTraining for any `image_size` (rows, columns); saved under the same name."""

    def __init__(self, config: ViTMAEConfig) -> None:
        ViTMAEPreTrainedModel.__init__(self, config)
        self.config = config
        self.vit = ViTMAEModel(config)
        self.decoder = _Decoder(config, num_patches=self.vit.embeddings.patch_embeddings.num_patches)
        self.post_init()  # type: ignore[no-untyped-call]


class MaeModel:
    """ViTMAE: the encoder sees the visible patches only (arXiv 2111.06377)."""

    loss: Loss = "mse"
    class_tokens = 1

    def __init__(self, model: PreTrainedModel, *, decodes: bool) -> None:
        self.model, self.decodes = model, decodes
        self.grid, self.dimensions = grid_of(model), int(model.config.hidden_size)
        self.normalises = bool(model.config.norm_pix_loss)

    def predict(self, pixels: Tensor, mask: Tensor) -> Tensor:
        with visible_patches(self.model, int((~mask[0]).sum())):
            seen = self.model.base_model(channels_first(pixels), noise=noise(mask))
        decoded = cast(nn.Module, self.model.decoder)(seen.last_hidden_state, seen.ids_restore).logits  # [B, N, P]
        return rows_at(decoded, positions(mask))

    def encode(self, pixels: Tensor) -> Tensor:
        order = torch.arange(self.grid.count, device=pixels.device, dtype=torch.float32).expand(len(pixels), -1)
        with visible_patches(self.model, self.grid.count):
            return cast(Tensor, self.model.base_model(channels_first(pixels), noise=order).last_hidden_state)


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


def build_mae(config: Mapping[str, Any]) -> PreTrainedModel:
    """A random model with these fields of a ViTMAEConfig, from torch's global generator."""
    model = ViTMAEForPreTraining(ViTMAEConfig(**config))
    start_mae(model)
    return model


@torch.no_grad()
def start_mae(model: PreTrainedModel) -> None:
    """Initializes weights as MAE's own code does (arXiv 2111.06377, appendix A.1).

    transformers 5.23 leaves the frozen tables of positions, the class token and the mask token of a fresh
    model at zero, so that it cannot tell one patch from another.
    """
    embeddings: Any = model.base_model.embeddings
    _start_positions(embeddings.position_embeddings, model)
    nn.init.normal_(embeddings.cls_token, std=model.config.initializer_range)
    start_layers(model)
    start_decoder(model)


@torch.no_grad()
def start_layers(model: PreTrainedModel) -> None:
    """Linear layers as MAE's and VideoMAE's own code begins them, the projection of patches as one of them."""
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv2d | nn.Conv3d):
            nn.init.xavier_uniform_(module.weight.view(len(module.weight), -1))
            if module.bias is not None:
                nn.init.zeros_(module.bias)


@torch.no_grad()
def start_decoder(model: PreTrainedModel) -> None:
    """The same for the decoder alone, which an encoder that was saved without one is given anew."""
    decoder: Any = model.decoder
    _start_positions(decoder.decoder_pos_embed, model)
    nn.init.normal_(decoder.mask_token, std=model.config.initializer_range)


def _start_positions(table: Tensor, model: PreTrainedModel) -> None:
    table.copy_(torch.from_numpy(position_table(grid_of(model).shape, table.shape[-1])))
