"""Image models built from scratch, with the start that transformers does not give them."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, PreTrainedModel, ViTForMaskedImageModeling, ViTMAEForPreTraining

from app.objectives.image.architectures import grid_of
from app.objectives.patches import position_table

CLASSES: dict[str, Any] = {"vit_mae": ViTMAEForPreTraining, "vit": ViTForMaskedImageModeling}


def build_preset(config: Mapping[str, Any]) -> PreTrainedModel:
    """A random model of this configuration, from torch's global generator."""
    fields = dict(config)
    model_type = fields.pop("model_type")
    if model_type == "vit":
        fields["encoder_stride"] = fields["patch_size"]
    model: PreTrainedModel = CLASSES[model_type](AutoConfig.for_model(model_type, **fields))
    if model_type == "vit_mae":
        start_mae(model)
    return model


@torch.no_grad()
def start_mae(model: PreTrainedModel) -> None:
    """What MAE's own code sets (arXiv 2111.06377, appendix A.1).

    transformers 5.23 leaves the frozen tables of positions, the class token and the mask token of a fresh
    model at zero, so that it cannot tell one patch from another.
    """
    embeddings: Any = model.base_model.embeddings
    _start_positions(embeddings.position_embeddings, model)
    nn.init.normal_(embeddings.cls_token, std=model.config.initializer_range)
    projection = embeddings.patch_embeddings.projection.weight
    nn.init.xavier_uniform_(projection.view(len(projection), -1))
    start_decoder(model)


@torch.no_grad()
def start_decoder(model: PreTrainedModel) -> None:
    """The same for the decoder alone, which an encoder that was saved without one is given anew."""
    decoder: Any = model.decoder
    _start_positions(decoder.decoder_pos_embed, model)
    nn.init.normal_(decoder.mask_token, std=model.config.initializer_range)


def _start_positions(table: torch.Tensor, model: PreTrainedModel) -> None:
    table.copy_(torch.from_numpy(position_table(grid_of(model).shape, table.shape[-1])))
