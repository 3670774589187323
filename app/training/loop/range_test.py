"""The learning-rate range test, which chooses the learning rate of a run.

Source: L. N. Smith, "Cyclical Learning Rates for Training Neural Networks" (WACV 2017, arXiv 1506.01186), section 3.3,
with the exponential ramp and the rule "a tenth of the rate of the lowest loss" that fastai made of it.
"""

import json
import math
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from app.errors import InvalidValue, OutOfMemory
from app.modalities.trainable import AnyTrainable, Counts
from app.system.durable import write_bytes
from app.training.hooks import Dataset, Hooks, Stopped
from app.training.loop.checkpoint import TrainState
from app.training.loop.distributed import ProcessGroup
from app.training.loop.gradients import GradientReducer
from app.training.loop.optimizer import make_optimizer
from app.training.loop.plan import Plan
from app.training.loop.step import compute_gradients, iterate_steps

STEPS = 100
LOWEST, HIGHEST = 1e-6, 1.0  # learning rates
DIVERGED = 4.0  # times the lowest loss: beyond it the test ends
SMOOTHED = 5  # losses on each side that a smoothed loss is the mean of
FEWEST = 3 * SMOOTHED  # losses that a choice needs
SAFETY = 10.0  # the chosen rate is this much below the one of the lowest loss
FILE = "learning-rate-test.json"  # in the folder of the job


@dataclass(frozen=True)
class RangeTest:
    """The result of a test.

    rates, losses: Learning rates and the smoothed training loss at each, in the order of the test.
    steepest: The rate at which the smoothed loss falls fastest. lowest: The rate of the lowest smoothed loss.
    suggested: The rate to train with.
    """

    rates: Sequence[float]
    losses: Sequence[float]
    steepest: float
    lowest: float
    suggested: float


def find_learning_rate(
    objective: AnyTrainable, data: Dataset, plan: Plan, hooks: Hooks, folder: Path, group: ProcessGroup
) -> RangeTest:
    """Runs the test, and leaves the weights as they were. A resumed job reads the result of its first attempt.

    Args:
        folder: The job's folder, which remembers the result.

    Raises:
        Stopped: `hooks.should_stop` gave a reason.
        InvalidValue: The loss was never finite, so nothing can be chosen.
        OutOfMemory: One sample at a time does not fit into memory.
    """
    file = folder / FILE
    known = group.broadcast(file.read_bytes() if group.is_main and file.exists() else None)
    if known is not None:
        return RangeTest(**json.loads(known))
    hooks.on_event(f"Testing learning rates from {LOWEST:g} to {HIGHEST:g} in up to {STEPS} steps")
    group.broadcast_weights(objective.model)
    before = {name: tensor.detach().clone() for name, tensor in objective.model.state_dict().items()}
    try:
        with closing(GradientReducer(objective.model, group.size)) as reducer:
            rates, losses = _raise_rate(objective, data, plan, hooks, group, reducer)
    finally:
        objective.model.load_state_dict(before)
    found = choose_rate(rates, losses)
    if group.is_main:
        write_bytes(file, json.dumps(asdict(found)).encode())
    return found


def _raise_rate(
    objective: AnyTrainable, data: Dataset, plan: Plan, hooks: Hooks, group: ProcessGroup, reducer: GradientReducer
) -> tuple[list[float], list[float]]:
    """Trains while the rate rises. Returns the rates and losses of the steps, until the loss diverges."""
    plan = replace(plan, total_steps=None, max_seconds=None)  # masks are those of the beginning of a run
    optimizer, state = make_optimizer(objective.model, plan), TrainState()
    batches = iterate_steps(objective, data, plan, state, group)
    rates: list[float] = []
    losses: list[float] = []
    while len(rates) < STEPS:
        if reason := group.broadcast(hooks.should_stop()):
            raise Stopped(reason)
        rate = LOWEST * (HIGHEST / LOWEST) ** (len(rates) / (STEPS - 1))
        for parameters in optimizer.param_groups:  # the head keeps its relation to the encoder
            parameters["lr"] = parameters["peak_lr"] * rate / plan.learning_rate
        loss = _step(objective, optimizer, next(batches), plan, state, group, reducer)
        if loss is None:
            plan = _shrink(plan)
            batches = iterate_steps(objective, data, plan, state, group)
            optimizer.zero_grad(set_to_none=True)
            continue
        if not math.isfinite(loss) or loss > DIVERGED * min(losses, default=loss):
            break
        rates.append(rate)
        losses.append(loss)
        state = replace(state, step=state.step + 1, samples=state.samples + plan.samples_per_step)
    return rates, losses


def _step(
    objective: AnyTrainable,
    optimizer: torch.optim.Optimizer,
    batches: Sequence[Any],
    plan: Plan,
    state: TrainState,
    group: ProcessGroup,
    reducer: GradientReducer,
) -> float | None:
    """Takes one step and returns its training loss, NaN if the gradient is not finite. None: memory ran out."""
    objective.model.train()
    objective.start_step(state.step, 0.0)
    positions, items = group.sum(sum(b.counts.positions for b in batches), sum(b.counts.items for b in batches))
    metrics = compute_gradients(objective, batches, Counts(positions, items), plan, state, group, reducer)
    if metrics is None:
        return None
    norm = torch.nn.utils.clip_grad_norm_(objective.model.parameters(), plan.max_grad_norm)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    loss = objective.summarise(group.sum_metrics(metrics)).get("loss", math.nan)
    return loss if math.isfinite(float(norm)) else math.nan


def _shrink(plan: Plan) -> Plan:
    if plan.samples_per_micro_batch == 1:
        raise OutOfMemory("memory ran out with one sample at a time; use a smaller model or shorter samples")
    return replace(plan, samples_per_micro_batch=plan.samples_per_micro_batch // 2)


def choose_rate(rates: Sequence[float], losses: Sequence[float]) -> RangeTest:
    """Returns the choice for the losses of a test. Raises InvalidValue if there are too few finite ones."""
    if len(losses) < FEWEST:
        raise InvalidValue(
            f"the loss diverged at a learning rate of {HIGHEST if not rates else rates[-1]:.2g} already;"
            " set learning_rate instead of find_lr",
            param="find_lr",
        )
    smooth = [_mean(losses[max(0, at - SMOOTHED) : at + SMOOTHED + 1]) for at in range(len(losses))]
    lowest = min(range(len(smooth)), key=smooth.__getitem__)
    falls = [smooth[at + 1] - smooth[at - 1] if 0 < at < len(smooth) - 1 else math.inf for at in range(len(smooth))]
    steepest = min(range(len(falls)), key=falls.__getitem__)
    return RangeTest(
        rates=[_round(rate) for rate in rates],
        losses=[_round(loss) for loss in smooth],
        steepest=_round(rates[steepest]),
        lowest=_round(rates[lowest]),
        suggested=_round(rates[lowest] / SAFETY, 2),
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _round(value: float, digits: int = 4) -> float:
    return float(f"{value:.{digits}g}")
