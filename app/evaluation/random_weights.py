"""A stored model with random weights: what its architecture gives without any training."""

from pathlib import Path

import torch

from app.errors import TaskNotSupported
from app.modalities import registry
from app.modalities.served_model import ServedModel

SEED = 0


def load_with_random_weights(folder: Path, dtype: torch.dtype) -> ServedModel:
    """Loads the model in `folder`, with the weights that its architecture is initialized with before pretraining.

    Raises InvalidModel, and TaskNotSupported for a model whose class cannot be built from its configuration.
    """
    from transformers import PreTrainedModel

    served = registry.load(folder, dtype=dtype)
    model = served.model
    if not isinstance(model, PreTrainedModel):
        raise TaskNotSupported("a random encoder needs a model of transformers; leave the method random_encoder out")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        fresh = type(model)(model.config)
    # Tables that training does not change, such as positions by sines, stay.
    weights = {name: weight for name, weight in fresh.named_parameters() if weight.requires_grad}
    model.load_state_dict(weights, strict=False)
    return served
