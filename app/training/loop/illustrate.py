"""Pictures of the model's predictions for a few held-out samples, the same ones at every evaluation."""

import numpy as np
import torch

from app.modalities.trainable import AnyTrainable
from app.training.hooks import Dataset
from app.training.loop.evaluate import masked_samples

SHOWN = 6  # samples in a picture


@torch.no_grad()
def illustrate(objective: AnyTrainable, data: Dataset, device: torch.device) -> tuple[str, bytes] | None:
    """Returns (file ending, content) of the picture, or None if the objective cannot draw one."""
    rows = np.unique(np.linspace(0, len(data) - 1, min(len(data), SHOWN)).astype(int)).tolist()
    objective.model.eval()
    return objective.illustrate(objective.collate_masked(masked_samples(objective, data, rows)).to(device))
