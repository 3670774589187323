"""A stored model with random weights: what its architecture gives without any training."""

from pathlib import Path

import torch
from torch import Tensor, nn

from app.errors import TaskNotSupported
from app.modalities import registry
from app.modalities.served_model import ServedModel

SEED = 0


def load_with_random_weights(folder: Path, dtype: torch.dtype) -> ServedModel:
    """Loads the model in `folder`, with the weights that its architecture is initialized with before pretraining.

    Raises InvalidModel, and TaskNotSupported for a model whose class cannot be built from its configuration.
    """
    served = registry.load(folder, dtype=dtype)
    randomize(served, SEED)
    return served


def randomize(served: ServedModel, seed: int) -> None:
    """Gives a model the weights that its architecture is initialized with. Raises TaskNotSupported."""
    from transformers import PreTrainedModel

    model = served.model
    if not isinstance(model, PreTrainedModel):
        raise TaskNotSupported(
            "random weights need a model of transformers; leave the methods random_encoder and from_scratch out"
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        fresh = type(model)(model.config)
        for module in served.further_modules:
            _initialize(module)
    # Tables that training does not change, such as positions by sines, stay.
    weights = {name: weight for name, weight in fresh.named_parameters() if weight.requires_grad}
    model.load_state_dict(weights | _statistics(fresh), strict=False)


def _statistics(model: nn.Module) -> dict[str, Tensor]:
    """Returns what batch normalization keeps of its inputs, by name."""
    kinds = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
    norms = ((name, module) for name, module in model.named_modules() if isinstance(module, kinds))
    return {f"{name}.{key}": value for name, norm in norms for key, value in norm.named_buffers(recurse=False)}


def _initialize(module: nn.Module) -> None:
    for each in module.modules():
        if isinstance(each, nn.Linear | nn.LayerNorm):
            each.reset_parameters()
