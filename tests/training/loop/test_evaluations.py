"""When a run evaluates, how much each evaluation reads, and what evaluations must not change."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from app.methods import MlmHyperparameters
from app.training.job import TrainingJob
from app.training.loop.checkpoint import TrainState
from app.training.loop.evaluator import MAX_POINTS, thin_out
from app.training.loop.plan import EVALUATION_SHARE, MIN_EVAL_SAMPLES, Plan, make_plan
from app.training.run import run
from tests.fakes.runs import Recorder, same

Job = Callable[..., TrainingJob]


def plan(samples: int = 100_000, **given: Any) -> Plan:
    return make_plan(
        MlmHyperparameters(**given),
        samples=samples,
        tokens=samples * 100,
        samples_per_step=32,
        from_scratch=True,
        new_head=True,
        precision=torch.float32,
    )


def evaluated(plan: Plan, seconds_a_step: float = 0.0) -> list[int]:
    """The steps after which an undisturbed run of steady speed evaluates."""
    state, steps = TrainState(), []
    while not plan.is_finished(state):
        following = TrainState(step=state.step + 1, seconds=state.seconds + seconds_a_step)
        if plan.due(following).evaluations > plan.due(state).evaluations:
            steps.append(following.step)
        state = following
    assert steps[-1] == state.step
    return steps


@pytest.mark.parametrize(
    ("given", "seconds_a_step", "steps"),
    [
        ({"max_steps": 100}, 0.0, list(range(10, 101, 10))),
        ({"max_steps": 25}, 0.0, [3, 5, 8, 10, 13, 15, 18, 20, 23, 25]),
        ({"max_steps": 4}, 0.0, [1, 2, 3, 4]),
        ({"max_minutes": 1}, 1.0, list(range(6, 61, 6))),
        ({"max_minutes": 1}, 20.0, [1, 2, 3]),
        ({"max_minutes": 1, "max_steps": 20}, 1.0, list(range(2, 21, 2))),
        ({"max_minutes": 1, "max_steps": 6000}, 1.0, list(range(6, 61, 6))),
        ({"epochs": 0.2}, 0.0, [63, 125, 188, 250, 313, 375, 438, 500, 563, 625]),
        ({"max_tokens": 64_000}, 0.0, list(range(2, 21, 2))),
    ],
)
def test_ten_evaluations_are_spread_over_the_run(
    given: dict[str, Any], seconds_a_step: float, steps: list[int]
) -> None:
    assert evaluated(plan(**given), seconds_a_step) == steps


def test_an_explicit_interval_counts_steps() -> None:
    by_steps, by_time = plan(max_steps=12, eval_interval=4), plan(max_minutes=1, eval_interval=15)
    assert evaluated(by_steps) == [4, 8, 12]
    assert evaluated(by_time, 1.0) == [15, 30, 45, 60]


def test_metrics_and_checkpoints_come_by_time_too() -> None:
    slow, state = plan(max_minutes=60), TrainState(step=30, seconds=1200.0)
    assert slow.due(state).logs == 30 // 10 + 50 // 3
    assert slow.due(state).checkpoints == 2
    assert plan(max_minutes=60, log_interval=7, checkpoint_interval=9).due(state)[1:] == (4, 3)


def test_evaluations_take_a_bounded_share_of_the_time() -> None:
    minute = plan(max_minutes=1)
    assert 11 * minute.eval_samples(0.005) * 0.005 <= EVALUATION_SHARE * 60
    assert minute.eval_samples(0.005) > MIN_EVAL_SAMPLES
    assert minute.eval_samples(1.0) == MIN_EVAL_SAMPLES
    assert minute.eval_samples(1e-6) == minute.max_eval_samples
    steps = plan(max_steps=100)
    assert 11 * steps.eval_samples(0.0) <= EVALUATION_SHARE * 3 * 100 * 32
    assert steps.eval_samples(0.0) == steps.eval_samples(9.0), "only time-limited runs depend on the speed"
    assert plan(max_steps=1, max_eval_samples=8).eval_samples(0.0) == 8
    assert plan(max_minutes=1, eval_interval=5).eval_samples(9.0) == 512


def test_evaluations_do_not_change_the_weights(job: Job) -> None:
    often, rarely = Recorder(), Recorder()
    one = run(job("often", max_steps=6, eval_interval=1), often)
    two = run(job("rarely", max_steps=6, eval_interval=6), rarely)
    assert (often.series("eval_loss")[0], often.series("eval_loss")[-1]) == tuple(rarely.series("eval_loss"))
    assert same(one, two)
    assert same(one, run(job("by-default", max_steps=6), Recorder()))


class Once(Recorder):
    """Keeps metrics as a job's record does: those of a step that was reported before are dropped."""

    def __init__(self, record: dict[str, list[int]], die_at: int | None = None, die_saved: int | None = None) -> None:
        super().__init__(die_at=die_at)
        self.record, self.die_saved = record, die_saved

    def on_event(self, message: str, data: dict[str, float] | None = None, **told: Any) -> None:
        super().on_event(message, data, **told)
        if data and "eval_loss" in data and data["step"] > max(self.record.setdefault("steps", []), default=-1):
            self.record["steps"].append(int(data["step"]))

    def on_checkpoint(self, step: int, folder: Path, metrics: dict[str, float]) -> None:
        super().on_checkpoint(step, folder, metrics)
        if step == self.die_saved:
            raise KeyboardInterrupt


@pytest.mark.parametrize("ended", [{"die_at": 7}, {"die_saved": 6}, {"die_at": 6}])
def test_a_resumed_run_neither_repeats_nor_loses_an_evaluation(job: Job, ended: dict[str, int]) -> None:
    record: dict[str, list[int]] = {}
    options = {"max_steps": 20, "keep_checkpoints": 2}
    with pytest.raises(KeyboardInterrupt):
        run(job("b", **options), Once(record, **ended))
    result = run(job("b", **options), Once(record))
    assert record["steps"] == [0, *range(2, 21, 2)]
    assert [point["step"] for point in result.outcome.state.curve] == record["steps"]


def test_a_run_that_time_ends_is_evaluated_by_time(job: Job) -> None:
    record: dict[str, list[int]] = {}
    options = {"max_minutes": 0.03, "checkpoint_interval": 1000}
    with pytest.raises(KeyboardInterrupt):
        run(job("b", **options), Once(record, die_at=2))
    assert record["steps"][0] == 0
    result = run(job("b", **options), Once(record))
    assert record["steps"] == [point["step"] for point in result.outcome.state.curve]
    assert record["steps"][-1] == result.outcome.state.step
    assert len(record["steps"]) <= 11


def test_a_curve_of_any_length_takes_bounded_space() -> None:
    curve: list[dict[str, float]] = []
    for step in range(5000):
        curve = thin_out([*curve, {"step": step}])
        assert len(curve) <= MAX_POINTS
    assert (curve[0]["step"], curve[-1]["step"]) == (0, 4999)
    assert all(a["step"] < b["step"] for a, b in pairwise(curve))


@pytest.mark.parametrize(
    ("config", "rate"),
    [
        ({"model_type": "bert", "hidden_size": 128}, 5e-4),
        ({"model_type": "modernbert", "hidden_size": 128}, 2e-3),
        ({"model_type": "modernbert", "hidden_size": 256}, 2e-3),
        ({"model_type": "modernbert", "hidden_size": 512}, 1e-3),
    ],
)
def test_a_preset_has_the_learning_rate_of_its_architecture(config: dict[str, Any], rate: float) -> None:
    scratch_rate = MlmHyperparameters.scratch_learning_rate(config)
    assert scratch_rate == rate
    sizes = {"samples": 100, "tokens": 10_000, "samples_per_step": 8, "new_head": False, "precision": torch.float32}

    def planned(*, from_scratch: bool, **given: Any) -> float:
        hyperparameters = MlmHyperparameters(max_steps=10, **given)
        return make_plan(hyperparameters, **sizes, from_scratch=from_scratch, scratch_rate=scratch_rate).learning_rate

    assert (planned(from_scratch=True), planned(from_scratch=False)) == (rate, 2e-4)
    assert planned(from_scratch=True, learning_rate=1e-3) == 1e-3
