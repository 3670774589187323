"""Evaluation on held-out samples, with the same masks in every job, so that jobs can be compared."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch

from app.modalities.trainable import AnyTrainable, Metrics
from app.training.data.order import Stream, generator
from app.training.loop.distributed import ProcessGroup
from app.training.loop.plan import Plan

EVAL_SEED = 20260101  # of the masks, in every job and at every step


def evaluate(
    objective: AnyTrainable, data: Any, plan: Plan, device: torch.device, group: ProcessGroup | None = None
) -> dict[str, float]:
    """Returns the objective's metrics over at most `plan.max_eval_samples` held-out samples.

    The samples are spread evenly over the data. They and their masks are the same at every call. The processes
    of a group share the work and get the same result.
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


def masked_samples(objective: AnyTrainable, data: Any, rows: Iterable[int]) -> list[Any]:
    """Returns the samples of these rows with the masks that every evaluation gives them."""
    return [objective.mask(data[row], generator(EVAL_SEED, Stream.EVALUATION, row), evaluate=True) for row in rows]
