"""VideoMAEForPreTraining, asked in the way that all models of patches are, and its start from scratch."""

from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, VideoMAEConfig, VideoMAEForPreTraining

from app.modalities.patch.grid import PatchGrid
from app.modalities.patch.mae import start_layers
from app.modalities.patch.model import Loss
from app.modalities.patch.normalizer import Targets

# What an encoder that was saved without a decoder lacks.
HEAD = ("decoder.", "encoder_to_decoder.", "mask_token")

# Of ImageNet's pixels. transformers has a model predict pixels in [0, 1], which it makes from the model's
# input with these, whatever that was normalised by.
IMAGE_MEAN, IMAGE_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
TARGETS = Targets(scale=IMAGE_STD, shift=IMAGE_MEAN, by_channel=True)


class VideoMaeModel:
    """VideoMAE: the encoder sees the visible patches of a clip only (arXiv 2203.12602)."""

    loss: Loss = "mse"
    class_tokens = 0

    def __init__(self, model: PreTrainedModel, *, decodes: bool) -> None:
        self.model, self.decodes = model, decodes
        self.grid, self.dimensions = grid_of(model), int(model.config.hidden_size)
        self.normalises = bool(model.config.norm_pix_loss)

    def predict(self, pixels: Tensor, mask: Tensor) -> Tensor:
        model: Any = self.model
        if mask.all():  # one of several clips; the encoder cannot be run on nothing
            seen = pixels.new_zeros(len(pixels), 0, model.config.decoder_hidden_size)
        else:
            seen = model.encoder_to_decoder(model.base_model(channels_first(pixels), bool_masked_pos=mask)[0])
        places = model.position_embeddings.to(seen).expand(len(seen), -1, -1)
        visible, guessed = (places[which].reshape(len(seen), -1, seen.shape[-1]) for which in (~mask, mask))
        whole = torch.cat([seen + visible, model.mask_token + guessed], dim=1)
        return cast(Tensor, model.decoder(whole, guessed.shape[1]).logits)

    def encode(self, pixels: Tensor) -> Tensor:
        return cast(Tensor, self.model.base_model(channels_first(pixels)).last_hidden_state)


def grid_of(model: PreTrainedModel) -> PatchGrid:
    config = model.config
    size, patch = int(config.image_size), int(config.patch_size)
    sizes = (int(config.num_frames), size, size)
    return PatchGrid(sizes, (int(config.tubelet_size), patch, patch), int(config.num_channels))


def channels_first(clips: Tensor) -> Tensor:
    """[B, T, H, W, C] → [B, T, C, H, W]"""
    return clips.permute(0, 1, 4, 2, 3)


def build_preset(config: Mapping[str, Any]) -> PreTrainedModel:
    """A random model of this configuration, from torch's global generator."""
    fields = {name: value for name, value in config.items() if name != "model_type"}
    model = VideoMAEForPreTraining(VideoMAEConfig(**fields))
    start_layers(model)
    start_decoder(model)
    return model


@torch.no_grad()
def start_decoder(model: PreTrainedModel) -> None:
    """Initializes what transformers 5.23 leaves out: without a decoder in the checkpoint, the mask token is not set."""
    nn.init.normal_(cast(Tensor, model.mask_token), std=model.config.initializer_range)
