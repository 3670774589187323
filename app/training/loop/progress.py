"""How far a run is, as a pure function of its plan and state."""

from app.training.hooks import Snapshot
from app.training.loop.checkpoint import TrainState
from app.training.loop.plan import Plan


def estimate_progress(
    plan: Plan, state: TrainState, samples: int, *, since: tuple[float, int], closing_seconds: float
) -> Snapshot:
    """Returns the progress of a run.

    Args:
        samples: The samples of an epoch.
        since: (seconds, tokens) of an earlier state, from which the pace is measured.
        closing_seconds: Estimate of the time between the last step and the end of the run.
    """
    fraction = plan.fraction(state)
    seconds, tokens = state.seconds - since[0], state.tokens - since[1]
    # The mean pace of the whole run predicts its end better than that of the last few steps.
    elapsed = state.seconds + state.beside
    return Snapshot(
        step=state.step,
        total_steps=plan.total_steps or (round(state.step / fraction) if fraction else None),
        tokens=state.tokens,
        epoch=state.samples / samples,
        fraction=fraction,
        tokens_per_second=tokens / seconds if seconds else 0.0,
        eta_seconds=elapsed * (1 - fraction) / fraction + closing_seconds if fraction > 0 else None,
    )
