"""The parts of an optimizer step: its micro-batches, and their gradients."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import count
from typing import Any

import torch

from app.devices import is_out_of_memory
from app.modalities.trainable import AnyTrainable, Counts, Metrics, StepContext
from app.training.data.mixture import iterate_samples
from app.training.data.order import Stream, generator
from app.training.hooks import Dataset
from app.training.loop.checkpoint import TrainState
from app.training.loop.distributed import ProcessGroup
from app.training.loop.gradients import GradientReducer
from app.training.loop.optimizer import autocast
from app.training.loop.plan import Plan


def iterate_steps(
    objective: AnyTrainable,
    data: Dataset,
    plan: Plan,
    state: TrainState,
    group: ProcessGroup,
    latest: Callable[[], TrainState] | None = None,
) -> Iterator[list[Any]]:
    """Yields this process's micro-batches of each optimizer step, beginning with the state's next step.

    latest: Returns the state of the run, by default `state`. Batches are prepared ahead of it.
    """
    latest = latest or (lambda: state)
    order, micro = iterate_samples(data, plan.seed, state.samples), plan.samples_per_micro_batch
    for step in count(state.step):
        # A function of the step, unless time may end the run. Then the time until the latest step counts.
        fraction = plan.fraction(replace(latest(), step=step))
        samples = [
            objective.mask_sample(data[row], generator(plan.seed, Stream.MASK, epoch, row), fraction=fraction)
            for epoch, row in group.own_share([next(order) for _ in range(plan.samples_per_step)])
        ]
        yield [objective.collate_masked(samples[i : i + micro]) for i in range(0, len(samples), micro)]


def compute_gradients(
    objective: AnyTrainable,
    micro_batches: Sequence[Any],
    whole: Counts,
    plan: Plan,
    state: TrainState,
    group: ProcessGroup,
    reducer: GradientReducer,
) -> Metrics | None:
    """Adds up the gradients of all micro-batches of all processes: the gradient of the step's whole batch.

    Returns the summed metrics of this process, or None if memory ran out in any.
    """
    # A step that is repeated, after a resumption or with smaller micro-batches, draws the same dropout.
    seeds = generator(plan.seed, Stream.FORWARD, state.step, group.rank)
    torch.manual_seed(int(seeds.integers(2**62)))
    device = next(objective.model.parameters()).device
    context = StepContext(
        device,
        group.rank,
        group.size,
        autocast=lambda: autocast(device, plan.precision),
        gather=group.gather,
        last_backward=reducer.last_backward,
    )
    reducer.start()
    metrics = None
    try:
        metrics = objective.add_gradients(micro_batches, whole, context)
    except (RuntimeError, MemoryError) as e:
        if not is_out_of_memory(e):
            raise
    return None if reducer.finish(failed=metrics is None) else metrics
