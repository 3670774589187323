"""Early stopping, as pure functions of a run's state, so that a resumed run decides as an undisturbed one."""

from collections.abc import Mapping
from dataclasses import replace

from app.methods.early_stopping import PROBE, improves
from app.training.loop.checkpoint import TrainState
from app.training.loop.plan import Plan


def record_best(plan: Plan, state: TrainState, metrics: Mapping[str, float]) -> TrainState:
    """Returns the state after an evaluation, with `metrics` as the best ones if they improve on the earlier best.

    An improvement is a change by more than `early_stopping_min_delta`. The state stays as it is if the run does not
    stop early, and before the first step: there is no checkpoint to go back to.
    """
    metric = plan.early_stopping_metric
    if plan.early_stopping_patience is None or metric not in metrics or not state.step:
        return state
    if state.best is None or improves(metric, metrics[metric], state.best[metric], plan.early_stopping_min_delta):
        return replace(state, best=dict(metrics), since_best=0)
    return replace(state, since_best=state.since_best + 1)


def has_stalled(plan: Plan, state: TrainState) -> bool:
    """Returns True if `early_stopping_patience` evaluations in a row brought no improvement.

    The count begins anew with an extension.
    """
    return plan.early_stopping_patience is not None and state.since_best >= plan.early_stopping_patience


def describe_early_stop(plan: Plan, state: TrainState) -> str:
    """Returns the message of the event that tells about the early stop."""
    best, metric = state.best or {}, plan.early_stopping_metric
    changed = "risen" if metric == PROBE else "fallen"
    return (
        f"Stopped early at step {state.step}: {metric} has not {changed} in {plan.early_stopping_patience} evaluations;"
        f" the best was {best.get(metric, 0.0):.4f} at step {best.get('step', 0)}"
    )
