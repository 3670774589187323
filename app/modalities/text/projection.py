"""The vocabulary projection of a masked language model, which the loss computes in parts instead of the model."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn import functional as F
from transformers import PreTrainedModel

from app.modalities.text.encoder import vocabulary_size


@contextmanager
def vocabulary_left_out(model: PreTrainedModel) -> Iterator[nn.Linear]:
    """Within it the model's "logits" are what its vocabulary projection, which it yields, would be given."""
    projection = model.get_output_embeddings()
    assert isinstance(projection, nn.Linear)

    def leave_out(features: torch.Tensor) -> torch.Tensor:
        """As the projection would, in the dtype of the products."""
        kind = features.device.type
        return features.to(torch.get_autocast_dtype(kind)) if torch.is_autocast_enabled(kind) else features

    projection.__dict__["forward"] = leave_out  # found before the class's own
    try:
        yield projection
    finally:
        del projection.__dict__["forward"]


@torch.inference_mode()
def ends_in_projection(model: PreTrainedModel) -> bool:
    """Whether the logits are the vocabulary projection of what precedes it, so that the loss need not make them.

    MobileBERT multiplies by two matrices, BART and ESM add a bias of their own afterwards.
    """
    if not isinstance(model.get_output_embeddings(), nn.Linear):
        return False
    ids = torch.arange(4, device=model.device).unsqueeze(0) % vocabulary_size(model)
    training = model.training
    model.eval()
    try:
        expected = model(ids).logits
        with vocabulary_left_out(model) as projection:
            features = model(ids).logits
    except RuntimeError:  # what follows the projection does not take what precedes it
        return False
    finally:
        model.train(training)
    if features.shape[-1] != projection.in_features:
        return False
    found = F.linear(features, projection.weight, projection.bias)
    return bool(torch.allclose(found, expected, rtol=1e-4, atol=1e-4 * max(1.0, float(expected.abs().max()))))
