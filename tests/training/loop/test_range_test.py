"""The learning-rate range test: what it chooses, and that it leaves no trace in the run."""

import math
from collections.abc import Callable

import pytest

from app.errors import InvalidValue
from app.methods import MlmHyperparameters
from app.training.hooks import Stopped
from app.training.job import TrainingJob
from app.training.loop.range_test import FEWEST, STEPS, choose_rate
from app.training.run import run
from tests.fakes.runs import Recorder, same

RATES = [10 ** (-6 + 6 * at / (STEPS - 1)) for at in range(STEPS)]


def test_the_choice_is_a_tenth_of_the_rate_of_the_lowest_loss() -> None:
    losses = [(math.log10(rate) + 2) ** 2 + 3 for rate in RATES]  # the lowest at 1e-2
    found = choose_rate(RATES, losses)
    assert found.lowest == pytest.approx(1e-2, rel=0.1)
    assert found.suggested == pytest.approx(found.lowest / 10, rel=0.1)
    assert found.steepest < found.lowest
    assert len(found.rates) == len(found.losses) == STEPS


def test_one_outlier_decides_nothing() -> None:
    losses = [5 - at * 0.01 for at in range(STEPS)]
    losses[20] = 1.0
    assert choose_rate(RATES, losses).lowest > RATES[50]


def test_a_loss_that_diverges_at_once_is_refused() -> None:
    with pytest.raises(InvalidValue, match="set learning_rate") as error:
        choose_rate(RATES[: FEWEST - 1], [9.0] * (FEWEST - 1))
    assert error.value.param == "find_lr"


@pytest.mark.parametrize("name", ["learning_rate", "head_learning_rate"])
def test_a_rate_beside_the_test_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"find_lr\n.*{name} cannot be set too"):
        MlmHyperparameters.model_validate({name: 1e-3, "find_lr": True})
    assert MlmHyperparameters.model_validate({name: "auto", "find_lr": True}).find_lr


def test_a_resumed_run_trains_as_if_the_found_rate_had_been_given(job: Callable[..., TrainingJob]) -> None:
    stopped, resumed = Recorder(stop_at=2), Recorder()
    run(job("tested", max_steps=4, find_lr=True), stopped)
    tested = run(job("tested", max_steps=4, find_lr=True), resumed)
    assert resumed.chosen == stopped.chosen
    assert not any("Testing" in message for message, _ in resumed.events)  # it reads what the first attempt has found
    found = resumed.chosen["learning_rate_test"]
    assert resumed.chosen["learning_rate"] == found["suggested"]
    assert min(found["losses"]) < found["losses"][0]
    assert same(tested, run(job("given", max_steps=4, learning_rate=found["suggested"]), Recorder()))


def test_a_test_can_be_stopped(job: Callable[..., TrainingJob]) -> None:
    hooks = Recorder(stop_at=0)
    with pytest.raises(Stopped, match="cancel"):
        run(job(find_lr=True), hooks)
