"""What only the head reads is computed for nothing else, and to the same result."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from app.modalities.embedding import EmbedItem
from app.modalities.text.encoder import ROWWISE_TYPES, rows_before_head
from app.modalities.text.items import FillMaskItem, ScoreItem
from app.modalities.text.load import load_text
from app.modalities.text.objective import TextObjective
from app.types import Pooling, Task
from tests.fakes.perform import perform
from tests.fakes.tiny_models import tiny_text_folder

ROWWISE = sorted(ROWWISE_TYPES)
ROWS = torch.tensor([1, 4, 9])
IDS = torch.tensor([[5, 6, 7, 8, 9, 10], [11, 12, 13, 14, 15, 16]])


class Counted:
    """Tokens that a module was given, at each call."""

    def __init__(self, module: nn.Module) -> None:
        self.calls: list[int] = []
        module.register_forward_pre_hook(lambda _, args: self.calls.append(args[0].shape[:-1].numel()))


def last_layer(objective: TextObjective) -> Any:
    return objective.model.base_model.encoder.layer[-1]


def outcome(model: Any, whole: list[torch.Tensor] | None) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Logits of ROWS, and the gradient of every parameter that has one."""
    model.zero_grad()
    with rows_before_head(model, ROWS, whole):
        logits = model(input_ids=IDS).logits
    logits.square().sum().backward()
    return logits.detach(), {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("architecture", ROWWISE)
def test_the_last_layers_rows_are_computed_to_the_same_result(tmp_path: Path, architecture: str) -> None:
    objective = load_text(tiny_text_folder(tmp_path, architecture))
    counted = Counted(last_layer(objective).intermediate)
    objective.model.double()
    few, gradients = outcome(objective.model, None)
    whole: list[torch.Tensor] = []
    all_rows, expected = outcome(objective.model, whole)
    assert counted.calls == [3, 12] and whole[0].shape[:2] == IDS.shape
    torch.testing.assert_close(few, all_rows)
    assert gradients.keys() == expected.keys()
    torch.testing.assert_close(gradients, expected)


def test_a_compiled_encoder_keeps_its_shape(tmp_path: Path) -> None:
    objective = load_text(tiny_text_folder(tmp_path, "bert"))
    counted = Counted(last_layer(objective).intermediate)
    encoder = objective.model.base_model
    encoder.__dict__["forward"] = encoder.forward  # as a compiled one stands in for its own
    outcome(objective.model, None)
    assert counted.calls == [12]


@pytest.mark.parametrize("architecture", ROWWISE)
def test_tasks_compute_no_more_than_they_read(tmp_path: Path, architecture: str) -> None:
    objective = load_text(tiny_text_folder(tmp_path, architecture))
    counted = Counted(last_layer(objective).intermediate)
    text = "The lions [MASK] the zebras in the savanna, again and again!"
    perform(objective.tasks[Task.FILL_MASK], [FillMaskItem(text)])
    perform(objective.tasks[Task.EMBED], [EmbedItem(text, pooling=Pooling.CLS)] * 3)
    assert counted.calls == [8, 8]  # one and three, rounded as batches are
    perform(objective.tasks[Task.SCORE], [ScoreItem("The lions")])
    assert set(counted.calls[2:]) == {8}
    perform(objective.tasks[Task.EMBED], [EmbedItem(text, pooling=p) for p in (Pooling.CLS, Pooling.MEAN)])
    assert counted.calls[-1] > 16
