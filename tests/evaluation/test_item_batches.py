"""Batches of items become smaller when memory runs out, and nothing else changes."""

from pathlib import Path
from typing import Any

import pytest
import torch

from app.errors import OutOfMemory
from app.evaluation.fine_tuning import FineTuner, Labelled, Schedule, TuningMachine
from app.modalities import registry
from app.types import Task
from tests.fakes.tiny_models import CORPUS, tiny_bert_folder

CPU = torch.device("cpu")


class Small:
    """A handler that computes at most some items at once, as if there were no memory for more."""

    def __init__(self, handler: Any, most: int) -> None:
        self._handler, self.most, self.sizes = handler, most, list[int]()
        self.reads_files, self.prepare = handler.reads_files, handler.prepare

    def compute_vectors(self, rows: Any) -> torch.Tensor:
        self.sizes.append(len(rows))
        if len(rows) > self.most:
            raise torch.OutOfMemoryError("out of memory")
        found: torch.Tensor = self._handler.compute_vectors(rows)
        return found


def tune(folder: Path, most: int) -> tuple[torch.Tensor, list[int]]:
    served = registry.load(folder)
    handler = Small(served.tasks[Task.EMBED], most)
    served.tasks = {Task.EMBED: handler}
    tuner = FineTuner(served, TuningMachine(CPU, torch.float32, 8192), random_weights=False)
    data = Labelled(CORPUS[:8], torch.arange(8) % 2, 2)
    network = tuner.train(data, Schedule(1e-4, 3, 0), lambda work: None)
    return tuner.predict(network, CORPUS[:8], lambda work: None), handler.sizes


def test_a_run_that_lacks_memory_is_the_same_in_smaller_parts(tmp_path: Path) -> None:
    folder = tiny_bert_folder(tmp_path / "tiny")
    enough, sizes = tune(folder, 8)
    less, smaller = tune(folder, 2)
    assert max(sizes) == 8 and smaller.count(8) == 1 and 0 < max(smaller[-8:]) <= 2
    torch.testing.assert_close(less, enough, atol=1e-4, rtol=1e-4)
    with pytest.raises(OutOfMemory, match="one item at a time"):
        tune(folder, 0)
