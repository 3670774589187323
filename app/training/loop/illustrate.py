"""Illustrations of the model's predictions for a few held-out samples, the same ones at every evaluation."""

import torch

from app.modalities.trainable import AnyTrainable
from app.training.hooks import Dataset
from app.training.loop.evaluate import masked_samples, spread


@torch.no_grad()
def illustrate(objective: AnyTrainable, data: Dataset, device: torch.device) -> tuple[str, bytes] | None:
    """Returns (file ending, content) of the illustration, or None if the objective has none."""
    rows = spread(len(data), objective.illustrated).tolist()
    objective.model.eval()
    samples = list(masked_samples(objective, data, rows))
    return objective.illustrate(objective.collate_masked(samples).to(device))
