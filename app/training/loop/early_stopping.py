"""Early stopping, as pure functions of a run's state, so that a resumed run decides as an undisturbed one."""

from collections.abc import Mapping

from app.training.loop.checkpoint import TrainState
from app.training.loop.plan import Plan

MEASURE = "eval_loss"


def pick_better(
    plan: Plan, best: Mapping[str, float] | None, metrics: Mapping[str, float]
) -> Mapping[str, float] | None:
    """Returns `metrics` if they improve on `best` by more than `early_stopping_min_delta`, else `best`.

    Returns `best` unchanged, usually None, if the run does not stop early.
    """
    if plan.early_stopping_patience is None or MEASURE not in metrics:
        return best
    if best is None or metrics[MEASURE] < best[MEASURE] - plan.early_stopping_min_delta:
        return dict(metrics)
    return best


def has_stalled(plan: Plan, state: TrainState) -> bool:
    """Returns True if `early_stopping_patience` evaluations in a row brought no improvement.

    The count begins anew with an extension.
    """
    if plan.early_stopping_patience is None or state.best is None:
        return False
    since = max(int(state.best["step"]), plan.extended_from)
    return state.step // plan.eval_interval - since // plan.eval_interval >= plan.early_stopping_patience


def describe_early_stop(plan: Plan, state: TrainState) -> str:
    """Returns the message of the event that tells about the early stop."""
    best = state.best or {}
    return (
        f"Stopped early at step {state.step}: {MEASURE} has not fallen in {plan.early_stopping_patience} evaluations;"
        f" the best was {best.get(MEASURE, 0.0):.4f} at step {best.get('step', 0)}"
    )
