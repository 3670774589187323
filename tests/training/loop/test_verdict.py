"""Verdicts on curves of each kind."""

from typing import Any

import pytest

from app.training.loop.verdict import RunFacts, RunVerdict, judge

FACTS: dict[str, Any] = {
    "measure": "loss",
    "lower_is_better": True,
    "steps": 1000,
    "epochs": 0.5,
    "minutes": 5.0,
    "limit": "time",
}


def verdict(
    losses: list[float], *, published: int | None = None, bigram: float | None = 6.0, **facts: Any
) -> RunVerdict:
    """Of evaluations after every 100 steps."""
    baselines = {} if bigram is None else {"eval_unigram_loss": 7.0, "eval_bigram_loss": bigram}
    curve = [{"step": 100 * n, "eval_loss": loss, **baselines} for n, loss in enumerate(losses)]
    last = 100 * (len(losses) - 1) if published is None else published
    return judge(curve, RunFacts(**{**FACTS, "published_step": last, **facts}))


def test_better_than_every_baseline_and_improving() -> None:
    found = verdict([9.0, 7.0, 6.5, 6.0, 5.5, 5.0])
    assert (found.learnt, found.baseline, found.trend, found.overfitted) == (True, "bigram", "improving", False)
    assert found.summary == (
        "Learnt: the held-out loss is 5.000, better by 1.000 than the best baseline (bigram, 6.000)."
        " It was still improving."
    )
    assert found.advice == "Train longer: extend the job to about 20 minutes."


@pytest.mark.parametrize("last", [6.9, 6.0, 5.97])
def test_not_clearly_better_than_the_best_baseline(last: float) -> None:
    found = verdict([9.0, 8.5, 8.0, 7.5, 7.0, last])
    assert found.learnt is False
    assert found.summary.startswith("Not learnt yet: ")


def test_flat() -> None:
    assert verdict([9.0, 5.0, 5.0, 5.0, 4.99, 5.0]).trend == "flat"
    assert "larger model or more data" in verdict([9.0, 5.0, 5.0, 5.0, 4.99, 5.0]).advice
    assert "Raise the learning rate" in verdict([9.0, 8.0, 8.0, 8.0, 8.01, 8.0]).advice


def test_overfitted() -> None:
    found = verdict([9.0, 5.0, 4.0, 4.5, 5.0, 5.5], epochs=20.0)
    assert (found.trend, found.overfitted, found.learnt) == ("worse", True, True)
    assert found.summary.endswith("It was getting worse, which is over-fitting.")
    assert "step 200" in found.advice and "early_stopping_patience" in found.advice


def test_worse_within_the_first_epoch_is_no_overfitting() -> None:
    found = verdict([9.0, 5.0, 4.0, 4.5, 5.0, 7.5])
    assert (found.trend, found.overfitted, found.learnt) == ("worse", False, False)
    assert "lower the learning rate" in found.advice


def test_early_stopping_publishes_the_best_and_tells_what_followed() -> None:
    found = verdict([9.0, 5.0, 4.0, 4.5, 5.0], published=200, epochs=20.0, limit="early_stopping")
    assert (found.value, found.learnt, found.overfitted) == (4.0, True, True)


def test_few_steps_of_a_small_data_set() -> None:
    found = verdict([9.0, 8.5, 8.0, 7.5], steps=19, epochs=1.0, limit="steps")
    assert found.learnt is False
    assert (
        found.advice == "19 steps were 1 epoch of a small data set: train 53 epochs, or continue from a stored model."
    )


def test_a_minute_is_too_short_to_blame_the_learning_rate() -> None:
    found = verdict([9.0, 7.2, 7.2, 7.2, 7.2], steps=38, minutes=1.0, epochs=0.05)
    assert found.advice == "38 steps are few: extend the job to about 27 minutes, or continue from a stored model."


def test_one_step_is_few() -> None:
    assert verdict([9.0, 8.9], steps=1, minutes=1.0, epochs=0.05).advice.startswith("1 step is few: ")


def test_a_pace_of_a_few_slow_steps_is_no_forecast() -> None:
    found = verdict([9.0, 8.9], steps=1, minutes=0.043, epochs=0.05)
    assert found.advice == "1 step is few: extend the job to about 1,000 steps, or continue from a stored model."


def test_a_run_that_steps_ended_is_extended_by_steps() -> None:
    assert verdict([9.0, 8.0, 7.0, 5.0], limit="steps").advice == "Train longer: extend the job to about 4,000 steps."


def test_higher_is_better_for_some_measures() -> None:
    def psnr(last: float) -> RunVerdict:
        curve = [
            {"step": n, "eval_psnr": value, "eval_mean_psnr": 12.0, "eval_interpolation_psnr": 18.0}
            for n, value in enumerate([8.0, 12.0, 15.0, last])
        ]
        return judge(curve, RunFacts(**{**FACTS, "measure": "psnr", "lower_is_better": False, "published_step": 3}))

    better, worse = psnr(19.0), psnr(17.0)
    assert (better.learnt, better.baseline, better.trend) == (True, "interpolation", "improving")
    assert worse.learnt is False and "17.000 dB" in worse.summary


def test_without_baselines_or_measurements_nothing_is_claimed() -> None:
    assert verdict([9.0, 8.0, 7.0], bigram=None).learnt is None
    bare = judge([{"step": 5, "eval_loss": 2.0}], RunFacts(**FACTS, published_step=5))
    assert (bare.learnt, bare.trend) == (None, "unknown")
    nothing = judge([{"step": 0}, {"step": 5, "eval_loss": float("nan")}], RunFacts(**FACTS, published_step=5))
    assert nothing.learnt is None and "Hold out more data" in nothing.advice
    assert judge([], RunFacts(**FACTS, published_step=5)) == nothing
