"""The point from which a run continues: its newest checkpoint, or for an extension the one before the decay.

After memory ran out, the run continues with smaller micro-batches.
"""

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
    """Restores model and optimizer from the checkpoints in `folder`, if there are any, and reports it in events.

    Returns the state to go on from, and the plan with the size of micro-batches that fits into memory.
    """
    state = load_newest(folder, model, optimizer)
    if state is None:
        state = TrainState(extended_from=plan.extended_from)
    else:
        if state.extended_from != plan.extended_from:
            state = _extend(folder, model, optimizer, plan, hooks, state)
            state = replace(state, extended_from=plan.extended_from, since_best=0)
        hooks.on_event(f"Resumed from step {state.step}")
    if state.samples_per_micro_batch:
        plan = replace(plan, samples_per_micro_batch=state.samples_per_micro_batch)
    kills = plan.memory_kills - state.memory_kills
    if kills:
        before = plan.samples_per_micro_batch
        state = replace(state, memory_kills=plan.memory_kills)
        why = f"The kernel killed an earlier attempt because memory ran out with {before} samples at a time"
        state, plan = shrink_micro_batches(state, plan, max(1, before // 2**kills), why, hooks)
    return state, plan


def shrink_micro_batches(state: TrainState, plan: Plan, micro: int, why: str, hooks: Hooks) -> tuple[TrainState, Plan]:
    """Sets the size of micro-batches. A step adds up the gradients of more of them, so its batch stays the same."""
    hooks.on_event(
        f"{why}. Training continues with {micro} at a time; a step's batch is still {plan.samples_per_step} samples",
        {"samples_per_micro_batch": micro},
        level="warn",
    )
    return replace(state, samples_per_micro_batch=micro), replace(plan, samples_per_micro_batch=micro)


def _extend(
    folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer, plan: Plan, hooks: Hooks, ended: TrainState
) -> TrainState:
    """Returns the state that an extension continues from.

    With `warmup-stable-decay` that is the one before the decay, if its checkpoint is still there.
    """
    state = None
    with suppress(CheckpointError):
        if plan.schedule == STABLE and ended.before_decay is not None:
            state = load_checkpoint(checkpoint_path(folder, ended.before_decay), model, optimizer)
    _check_minutes(plan, state or ended)
    if plan.schedule != STABLE:
        return ended
    if state is None:
        hooks.on_event(
            "No checkpoint from before the decay of the learning rate is left."
            f" The extension starts from the decayed weights of step {ended.step}",
            level="warn",
        )
        return replace(ended, before_decay=None)
    hooks.on_event(f"The extension starts from step {state.step}, before the decay of the learning rate")
    # A better evaluation may have followed, after which the checkpoint of this best one was deleted.
    kept = state.best is not None and checkpoint_path(folder, int(state.best["step"])).exists()
    return replace(state, before_decay=None, best=state.best if kept else None)


def _check_minutes(plan: Plan, start: TrainState) -> None:
    """Raises InvalidValue if an extension would end at once: a user does not see how long the steps took."""
    if plan.max_seconds is not None and start.seconds >= plan.max_seconds:
        raise InvalidValue(
            f"max_minutes is {plan.max_seconds / 60:g}, but the extension starts from step {start.step}, which was"
            f" reached after {start.seconds / 60:.2f} minutes of training",
            param="max_minutes",
        )
