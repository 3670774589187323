"""Held-out metrics, by a fixed standard so that they compare between jobs."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch

from app.modalities.base import Metrics, Objective
from app.training.data.order import Stream, generator
from app.training.loop.distributed import ProcessGroup
from app.training.loop.plan import Plan

EVAL_SEED = 20260101  # one set of masks for every job and every step


def evaluate(
    objective: Objective, data: Any, plan: Plan, device: torch.device, group: ProcessGroup | None = None
) -> dict[str, float]:
    """The objective's measures over (at most `plan.max_eval_samples` of) the held-out samples.

    The samples, evenly spread, and their masks are the same at every call. The processes of a group
    share the work and have the same result.
    """
    group = group or ProcessGroup()
    chosen = np.unique(np.linspace(0, len(data) - 1, min(len(data), plan.max_eval_samples)).astype(int))
    total = Metrics()
    objective.model.eval()
    with torch.no_grad():
        micro = plan.samples_per_micro_batch
        for start in range(group.rank * micro, len(chosen), group.size * micro):
            rows = chosen[start : start + micro].tolist()
            batch = objective.collate_masked(masked_samples(objective, data, rows))
            total += objective.forward(batch.to(device))[1]
    return objective.summarise(group.sum_metrics(total))


def masked_samples(objective: Objective, data: Any, rows: Iterable[int]) -> list[Any]:
    """Held-out samples as every evaluation masks them."""
    return [objective.mask(data[row], generator(EVAL_SEED, Stream.EVALUATION, row), evaluate=True) for row in rows]
