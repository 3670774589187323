"""The verdict on a run: whether the model learnt, how the curve ends, and what to do next.

A pure function of the recorded curve and of a few facts about the run.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

CLEAR = 0.01  # share of a value by which another has to differ from it to be called better or worse
FLAT = 0.005  # share by which the value changes at most in the last third of a flat curve
FEW_STEPS, ENOUGH_STEPS = 200, 1000  # a run on a small data set should take more steps than the first
PACED_STEPS = 20  # a run of fewer steps does not tell how long a step takes: the first ones are slow
LONGER = 4  # times; how much longer a run that still improves should be

START = "start"  # the baseline of the weights before the first step

Limit = Literal["steps", "time", "early_stopping"]
Trend = Literal["improving", "flat", "worse", "unknown"]
Curve = Sequence[Mapping[str, float]]


@dataclass(frozen=True)
class RunFacts:
    """The facts of a run that a verdict needs beside its curve.

    measure, lower_is_better: As in Trainable.
    published_step: Of the weights that are published.
    limit: The limit that ended the run.
    minutes: Of training.
    compares_with_start: As in Trainable.
    """

    measure: str
    lower_is_better: bool
    published_step: int
    steps: int
    epochs: float
    minutes: float
    limit: Limit
    compares_with_start: bool = False


@dataclass(frozen=True)
class RunVerdict:
    """learnt: Whether the model beats its best baseline clearly. None if nothing could be compared.

    baseline: Name of the best baseline. value, baseline_value: The measure of the model and of that baseline.
    overfitted: Whether held-out data got worse while training data were repeated.
    """

    learnt: bool | None
    measure: str
    value: float | None
    baseline: str | None
    baseline_value: float | None
    trend: Trend
    overfitted: bool
    summary: str
    advice: str


def judge(curve: Curve, facts: RunFacts) -> RunVerdict:
    """Returns the verdict on the weights of `facts.published_step`."""
    key = f"eval_{facts.measure}"
    points = [p for p in curve if math.isfinite(p.get(key, math.nan)) and p["step"] <= facts.published_step]
    if not points:
        why = "Not judged: nothing was measured on held-out data."
        advice = "Hold out more data, with validation_fraction or a validation file."
        return RunVerdict(None, facts.measure, None, None, None, "unknown", False, why, advice)
    sign = 1.0 if facts.lower_is_better else -1.0
    value = points[-1][key]
    baselines = _find_baselines(points[-1], facts.measure)
    if facts.compares_with_start and not points[0]["step"] and len(points) > 1:
        baselines[START] = points[0][key]
    best = min(baselines, key=lambda name: sign * baselines[name], default=None)
    level = None if best is None else baselines[best]
    learnt = None if level is None else sign * (level - value) > CLEAR * abs(level)
    # All evaluations, with those after the published weights: they tell whether training went on to help.
    every = [p for p in curve if math.isfinite(p.get(key, math.nan))]
    losses = [sign * p[key] for p in every]
    lowest = min(range(len(losses)), key=losses.__getitem__)
    rose = losses[-1] - losses[lowest] > CLEAR * abs(losses[lowest])
    trend: Trend = "worse" if rose else _find_trend(losses)
    overfitted = rose and facts.epochs > 1
    return RunVerdict(
        learnt,
        facts.measure,
        value,
        best,
        level,
        trend,
        overfitted,
        _summarise(learnt, facts.measure, value, best, level, trend, overfitted),
        _advise(learnt, trend, overfitted, int(every[lowest]["step"]), facts),
    )


def _find_baselines(point: Mapping[str, float], measure: str) -> dict[str, float]:
    """Returns the measure of each baseline, by its name."""
    return {
        key.removeprefix("eval_").removesuffix(f"_{measure}"): value
        for key, value in point.items()
        if key.startswith("eval_") and key.endswith(f"_{measure}") and key != f"eval_{measure}" and math.isfinite(value)
    }


def _find_trend(losses: Sequence[float]) -> Trend:
    """Returns how the curve changes in its last third."""
    if len(losses) < 3:
        return "unknown"
    fall = losses[-1 - max(1, (len(losses) - 1) // 3)] - losses[-1]
    if abs(fall) <= FLAT * abs(losses[-1]):
        return "flat"
    return "improving" if fall > 0 else "worse"


_TRENDS: dict[Trend, str] = {
    "improving": "It was still improving",
    "flat": "It was no longer improving",
    "worse": "It was getting worse",
    "unknown": "There are too few evaluations to tell whether it was still improving",
}


def _summarise(
    learnt: bool | None,
    measure: str,
    value: float,
    best: str | None,
    level: float | None,
    trend: Trend,
    overfitted: bool,
) -> str:
    unit = " dB" if measure == "psnr" else ""
    held = f"the held-out {measure} is {value:.3f}{unit}"
    if level is None:
        first = f"Not compared: {held}, and there is no baseline."
    elif learnt:
        gap = f"{abs(level - value):.3f}{unit}"
        first = f"Learnt: {held}, better by {gap} than the best baseline ({best}, {level:.3f}{unit})."
    else:
        first = f"Not learnt yet: {held}, not clearly better than the best baseline ({best}, {level:.3f}{unit})."
    return f"{first} {_TRENDS[trend]}{', which is over-fitting' if overfitted else ''}."


def _advise(learnt: bool | None, trend: Trend, overfitted: bool, best_step: int, facts: RunFacts) -> str:
    if overfitted:
        return f"The best evaluation was at step {best_step}: set early_stopping_patience, or add more data."
    if trend == "worse":
        return f"The best evaluation was at step {best_step}: lower the learning rate or lengthen the warmup."
    small = facts.steps < FEW_STEPS and facts.epochs >= 0.99 and facts.limit == "steps"
    if small and not (learnt and trend == "flat"):
        epochs = max(2, math.ceil(facts.epochs * ENOUGH_STEPS / facts.steps))
        done = f"{_count(facts.steps, 'step')} {'was' if facts.steps == 1 else 'were'} {_count(facts.epochs, 'epoch')}"
        return f"{done} of a small data set: train {epochs:,} epochs, or continue from a stored model."
    if learnt is False and facts.steps < ENOUGH_STEPS:
        factor = ENOUGH_STEPS / facts.steps
        few = "step is" if facts.steps == 1 else "steps are"
        return f"{facts.steps:,} {few} few: {_extend(factor, facts)}, or continue from a stored model."
    if trend == "flat":
        if learnt is False:
            return "Raise the learning rate, and check that the data and the tokenizer suit the model."
        return "More training would change little: take a larger model or more data."
    return f"Train longer: {_extend(LONGER, facts)}."


def _extend(factor: float, facts: RunFacts) -> str:
    if facts.limit == "time" and facts.steps >= PACED_STEPS:
        return f"extend the job to about {_round_up(factor * facts.minutes):g} minutes"
    return f"extend the job to about {int(_round_up(factor * facts.steps)):,} steps"


def _count(number: float, noun: str) -> str:
    return f"{round(number, 2):,g} {noun}{'' if round(number, 2) == 1 else 's'}"


def _round_up(value: float) -> float:
    """Rounds up to two digits."""
    unit = 10.0 ** (math.floor(math.log10(max(value, 1e-9))) - 1)
    return round(math.ceil(value / unit - 1e-9) * unit, 9)
