"""When to give up on a run, as pure functions of its state: a resumed run decides what it would have."""

from collections.abc import Mapping

from app.training.loop.checkpoint import TrainState
from app.training.loop.plan import Plan

MEASURE = "eval_loss"


def pick_better(
    plan: Plan, best: Mapping[str, float] | None, metrics: Mapping[str, float]
) -> Mapping[str, float] | None:
    """The better of two evaluations, as `early_stopping_min_delta` has it; None where none is kept."""
    if plan.early_stopping_patience is None or MEASURE not in metrics:
        return best
    if best is None or metrics[MEASURE] < best[MEASURE] - plan.early_stopping_min_delta:
        return dict(metrics)
    return best


def has_stalled(plan: Plan, state: TrainState) -> bool:
    """Whether patience is over. An extension is given it anew."""
    if plan.early_stopping_patience is None or state.best is None:
        return False
    since = max(int(state.best["step"]), plan.extended_from)
    return state.step // plan.eval_interval - since // plan.eval_interval >= plan.early_stopping_patience


def describe_early_stop(plan: Plan, state: TrainState) -> str:
    best = state.best or {}
    return (
        f"Stopped early at step {state.step}: {MEASURE} has not fallen in {plan.early_stopping_patience} evaluations;"
        f" the best was {best.get(MEASURE, 0.0):.4f} at step {best.get('step', 0)}"
    )
