"""A replica shares every weight of its model, and nothing that running it changes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.modalities.embedding import EmbedItem
from app.modalities.text.items import FillMaskItem
from app.modalities.text.load import load_text
from app.serving.packing import PackedLinear, pack
from app.serving.replicas import replicate
from app.types import Task
from tests.fakes.perform import perform
from tests.fakes.tiny_models import ARCHITECTURES, tiny_text_folder


@pytest.mark.parametrize("packed", [False, True])
def test_weights_are_shared_and_modules_are_not(packed: bool, tmp_path: Path) -> None:
    objective = load_text(tiny_text_folder(tmp_path / "model"))
    if packed:
        pack(objective.model)
    tasks: dict[Any, Any] = dict(replicate(objective))
    assert tasks.keys() == objective.tasks.keys()
    (model,) = {handler.forward.model for handler in tasks.values()}
    (encoder,) = {handler.encoder for handler in tasks.values()}
    assert encoder is objective.encoder
    assert tasks[Task.FILL_MASK].wordpieces is objective.tasks[Task.FILL_MASK].wordpieces  # type: ignore[attr-defined]
    assert model is not objective.model
    assert model.config is not objective.model.config
    pairs = list(zip(model.modules(), objective.model.modules(), strict=True))
    assert len(pairs) > 10
    for mine, theirs in pairs:
        assert mine is not theirs
        assert type(mine) is type(theirs)
        if isinstance(theirs, PackedLinear):
            assert mine.packed is theirs.packed
    mine = dict((*model.named_parameters(), *model.named_buffers()))
    assert mine
    for name, tensor in (*objective.model.named_parameters(), *objective.model.named_buffers()):
        assert mine[name] is tensor


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_replica_of_every_architecture_answers_alike(architecture: str, tmp_path: Path) -> None:
    objective = load_text(tiny_text_folder(tmp_path / "model", architecture))
    pack(objective.model)
    replica = replicate(objective)
    texts = ["The capital of France is [MASK].", "[MASK] lions chase the deer."]
    items = [EmbedItem(t) for t in texts]
    vectors = [perform(tasks[Task.EMBED], items) for tasks in (replica, objective.tasks)]
    for mine, theirs in zip(*vectors, strict=True):
        assert np.array_equal(mine.vector, theirs.vector)
    asked = [FillMaskItem(t) for t in texts]
    assert perform(replica[Task.FILL_MASK], asked) == perform(objective.tasks[Task.FILL_MASK], asked)
