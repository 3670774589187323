"""Where a run goes on: from its newest checkpoint, behind the decay of what it extends, with less at once."""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from app.errors import InvalidValue
from app.training.hooks import Hooks
from app.training.loop.checkpoint import CheckpointError, TrainState, checkpoint_path, load_checkpoint, load_newest
from app.training.loop.plan import STABLE, Plan


def resume(
    folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer, plan: Plan, hooks: Hooks
) -> tuple[TrainState, Plan]:
    """Restores model and optimiser from the checkpoints in `folder`, if there are any, and says so in events."""
    state = load_newest(folder, model, optimizer)
    if state is None:
        state = TrainState(extended_from=plan.extended_from)
    else:
        if state.extended_from != plan.extended_from:
            state = replace(_extend(folder, model, optimizer, plan, hooks, state), extended_from=plan.extended_from)
        hooks.on_event(f"Resumed from step {state.step}")
    if state.samples_per_micro_batch:
        plan = replace(plan, samples_per_micro_batch=state.samples_per_micro_batch)
    if kills := plan.memory_kills - state.memory_kills:
        state, before = replace(state, memory_kills=plan.memory_kills), plan.samples_per_micro_batch
        why = f"Memory ran out in an earlier attempt, which the kernel killed, with {before} samples at a time"
        state, plan = shrink_micro_batches(state, plan, max(1, before >> kills), why, hooks)
    return state, plan


def shrink_micro_batches(state: TrainState, plan: Plan, micro: int, why: str, hooks: Hooks) -> tuple[TrainState, Plan]:
    """Less at once, and more gradients to add up: the step's batch stays what it is."""
    hooks.on_event(
        f"{why}; going on with {micro}. A step's batch is still {plan.samples_per_step} samples",
        {"samples_per_micro_batch": micro},
        level="warn",
    )
    return replace(state, samples_per_micro_batch=micro), replace(plan, samples_per_micro_batch=micro)


def _extend(
    folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer, plan: Plan, hooks: Hooks, ended: TrainState
) -> TrainState:
    """The state to extend a run from: with `warmup-stable-decay`, the one before its decay, if that is still there."""
    state = None
    with suppress(CheckpointError):
        if plan.schedule == STABLE and ended.before_decay is not None:
            state = load_checkpoint(checkpoint_path(folder, ended.before_decay), model, optimizer)
    _check_minutes(plan, state or ended)
    if plan.schedule != STABLE:
        return ended
    if state is None:
        hooks.on_event(
            "No checkpoint from before the decay of the learning rate is left:"
            f" the extension goes on from the decayed weights of step {ended.step}",
            level="warn",
        )
        return replace(ended, before_decay=None)
    hooks.on_event(f"The extension goes on from step {state.step}, before the decay of the learning rate")
    # A better evaluation may have followed, for which the best one of then was dropped.
    kept = state.best is not None and checkpoint_path(folder, int(state.best["step"])).exists()
    return replace(state, before_decay=None, best=state.best if kept else None)


def _check_minutes(plan: Plan, start: TrainState) -> None:
    """Raises InvalidValue where an extension would end as it begins: who asks for one cannot see what steps took."""
    if plan.max_seconds is not None and start.seconds >= plan.max_seconds:
        raise InvalidValue(
            f"max_minutes is {plan.max_seconds / 60:g}, but step {start.step}, from which the extension goes on,"
            f" was reached after {start.seconds / 60:.2f} minutes of training",
            param="max_minutes",
        )
