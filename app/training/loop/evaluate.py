"""Evaluation on held-out samples, with the same masks in every job, so that jobs can be compared."""

import time
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from app.devices import is_out_of_memory
from app.modalities.trainable import AnyTrainable, Metrics
from app.training.data.order import Stream, generator
from app.training.loop.distributed import ProcessGroup
from app.training.loop.plan import Plan

EVAL_SEED = 20260101  # of the masks, in every job and at every step


class EvaluationOutOfMemory(Exception):
    """Memory ran out in one of the processes that evaluate. All of them raise this."""


def evaluate(
    objective: AnyTrainable,
    data: Any,
    plan: Plan,
    device: torch.device,
    group: ProcessGroup | None = None,
    samples: int | None = None,
) -> dict[str, float]:
    """Returns the objective's metrics over at most `samples` held-out samples, by default `plan.max_eval_samples`.

    The samples are spread evenly over the data. They and their masks are the same at every call. The processes
    of a group share the work and get the same result. The weights and the random state of torch stay the same.

    Raises EvaluationOutOfMemory if micro-batches have to be smaller.
    """
    group = group or ProcessGroup()
    chosen = spread(len(data), samples or plan.max_eval_samples)
    total, failed = Metrics(), False
    objective.model.eval()
    try:
        with torch.no_grad():
            micro = plan.samples_per_micro_batch
            for start in range(group.rank * micro, len(chosen), group.size * micro):
                rows = chosen[start : start + micro].tolist()
                batch = objective.collate_masked(list(masked_samples(objective, data, rows)))
                total += objective.forward(batch.to(device))[1]
    except (RuntimeError, MemoryError) as e:
        if not is_out_of_memory(e):
            raise
        failed = True
    if any(group.sum(int(failed))):
        raise EvaluationOutOfMemory
    return objective.summarise(group.sum_metrics(total))


def measure_sample(objective: AnyTrainable, data: Any, plan: Plan, device: torch.device, group: ProcessGroup) -> float:
    """Returns the seconds that a held-out sample takes, measured in this process after a first, slower batch.

    Raises EvaluationOutOfMemory.
    """
    count = min(len(data), plan.samples_per_micro_batch)
    small = replace(plan, samples_per_micro_batch=count)
    taken = 0.0
    for _ in range(2):
        began = time.monotonic()
        evaluate(objective, data, small, device, group, samples=count * group.size)
        taken = time.monotonic() - began
    return taken / (min(len(data), count * group.size) or 1)


def masked_samples(objective: AnyTrainable, data: Any, rows: Iterable[int]) -> Iterable[Any]:
    """Yields the samples of these rows with the masks that every evaluation gives them."""
    for row in rows:
        yield objective.mask_sample(data[row], generator(EVAL_SEED, Stream.EVALUATION, row), evaluate=True)


def spread(size: int, count: int) -> NDArray[np.int64]:
    """Returns at most `count` different indices below `size`, spread evenly."""
    return np.unique(np.linspace(0, size - 1, min(size, count)).astype(np.int64))
