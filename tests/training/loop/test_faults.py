"""What ends a run early."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from app.errors import InvalidData, InvalidValue
from app.modalities.text.row_masking import RowMasker
from app.training.job import TrainingJob
from app.training.loop.faults import BARREN_STEPS, check_predictions, explain_divergence
from app.training.run import run
from tests.fakes.runs import Recorder


@dataclass(frozen=True)
class Batch:
    values: torch.Tensor
    ids: torch.Tensor
    count: int = 1


@pytest.mark.parametrize(
    ("step", "value", "kind", "param", "message"),
    [
        (7, float("nan"), InvalidData, "training_file", "the samples of step 7 contain numbers that are not finite"),
        (1, 1e30, InvalidData, "training_file", "diverged at step 1: .* check the training data"),
        (7, 1e30, InvalidValue, "learning_rate", "diverged at step 7: .* lower the learning rate"),
    ],
)
def test_the_error_names_what_is_at_fault(step: int, value: float, kind: type, param: str, message: str) -> None:
    error = explain_divergence(
        step, [Batch(torch.zeros(2), torch.ones(2)), Batch(torch.tensor([0.0, value]), torch.ones(2))]
    )
    assert type(error) is kind and error.param == param
    with pytest.raises(kind, match=message):
        raise error


def test_steps_without_predictions_are_counted_from_the_attempts_first() -> None:
    check_predictions(0, 0, ended=True)
    check_predictions(0, BARREN_STEPS - 1, ended=False)
    check_predictions(1, 5 * BARREN_STEPS, ended=True)
    for steps, ended in ((BARREN_STEPS, False), (1, True)):
        with pytest.raises(InvalidData, match="the model learned nothing"):
            check_predictions(0, steps, ended=ended)


def test_a_run_that_predicts_nothing_does_not_succeed(
    job: Callable[..., TrainingJob], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = RowMasker.__init__

    def all_special(self: RowMasker, *arguments: object) -> None:
        whole(self, *arguments)  # type: ignore[arg-type]
        self.special = np.ones_like(self.special)

    monkeypatch.setattr(RowMasker, "__init__", all_special)
    with pytest.raises(InvalidData, match="the model learned nothing: no sample of 3 steps"):
        run(job(max_steps=3), Recorder())
