"""Pictures of the same few held-out samples at every evaluation: a user watches the model learn."""

import numpy as np
import torch

from app.modalities.base import Illustrating, Objective
from app.training.hooks import Dataset
from app.training.loop.evaluate import masked_samples

SHOWN = 6  # samples


@torch.no_grad()
def illustrate(objective: Objective, data: Dataset, device: torch.device) -> tuple[str, bytes] | None:
    """(file ending, content); None where the objective has nothing to show. Samples and masks are always the same."""
    if not isinstance(objective, Illustrating):
        return None
    rows = np.unique(np.linspace(0, len(data) - 1, min(len(data), SHOWN)).astype(int)).tolist()
    objective.model.eval()
    return objective.illustrate(objective.collate_masked(masked_samples(objective, data, rows)).to(device))
