"""Telling items apart: an item's embedding is to be nearer to that of another view of it than to any other's.

The contrastive term of CAN (arXiv 2210.16870), on the mean over the patches that a masked view shows, which is what
the model's embeddings are. In the place of CAN's head for it, each dimension is standardised over the batch: with
neither, a small encoder stayed at chance (docs/decisions/0017).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from app.methods.patches import VIEWS

TEMPERATURE = 0.2


@dataclass(frozen=True)
class Contrast:
    """The contrastive loss of the 2B views of B items. loss: sum over items; right: views nearest to their own."""

    loss: Tensor
    right: int


def contrast(embeddings: Tensor) -> Contrast:
    """embeddings [2B, H] fp32, the views of an item next to each other. One item alone has nothing to be told from."""
    with torch.autocast(embeddings.device.type, enabled=False):
        deviation, mean = torch.std_mean(embeddings, 0, correction=0)
        units = nn.functional.normalize((embeddings - mean) / (deviation + 1e-4), dim=1)
        likeness = units @ units.T / TEMPERATURE
        views = torch.arange(len(units), device=units.device)
        likeness = likeness.masked_fill(views[:, None] == views, -torch.inf)  # a view is not compared with itself
        other = views ^ 1
        loss = nn.functional.cross_entropy(likeness, other, reduction="sum") / VIEWS
    return Contrast(loss, int((likeness.argmax(1) == other).sum()))


def pooled(encoded: Tensor, visible: Tensor, counted: Tensor) -> Tensor:
    """The mean over the visible patches that are not padding. → [B, H] fp32

    encoded: [B, V, H] of the visible patches, or [B, N, H] of all. visible, counted: [B, N] bool.
    """
    sees_all = encoded.shape[1] == visible.shape[1]
    weights = counted & visible if sees_all else counted[visible].reshape(len(visible), -1)
    weighed = encoded.float() * weights.unsqueeze(-1)
    return weighed.sum(1) / weights.sum(1, keepdim=True).clamp(min=1)


@contextmanager
def encoder_output(model: Any) -> Iterator[list[Tensor]]:
    """Within it the list receives what the encoder makes of each batch, [B, tokens, H]. One thread at a time."""
    found: list[Tensor] = []

    def keep(module: nn.Module, args: Any, output: Any) -> None:
        found.append(output[0])

    handle = model.base_model.register_forward_hook(keep)
    try:
        yield found
    finally:
        handle.remove()
