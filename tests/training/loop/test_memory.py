"""Memory that runs out, by an objective that claims so."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from app.errors import OutOfMemory
from app.modalities.text.objective import TextObjective
from app.training.job import TrainingJob
from app.training.run import run
from tests.fakes.runs import Recorder, same, weights

BATCH = 8  # rows of a step
OPTIONS = {"batch_tokens": BATCH * 32, "max_steps": 12, "checkpoint_interval": 5}


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[int]]:
    """`memory(rows, first)`: from training batch `first` on, no more than `rows` fit. Returns the sizes that ran."""
    forward = TextObjective.forward

    def install(rows: int, first: int = 0) -> list[int]:
        sizes: list[int] = []

        def limited(self: TextObjective, batch: Any, *whole: Any) -> Any:
            if self.model.training:
                if len(sizes) >= first and len(batch.seen) > rows:
                    raise torch.OutOfMemoryError("CUDA out of memory (fake)")
                sizes.append(len(batch.seen))
            return forward(self, batch, *whole)

        monkeypatch.setattr(TextObjective, "forward", limited)
        return sizes

    return install


def test_the_micro_batch_is_halved_and_the_batch_stays(
    job: Callable[..., TrainingJob], memory: Callable[..., list[int]]
) -> None:
    enough = run(job("a", **OPTIONS), Recorder())
    sizes, hooks = memory(2, first=3), Recorder()
    little = run(job("b", **OPTIONS), hooks)

    assert sizes == [8] * 3 + [2] * 4 * 9
    warnings = [message for message, _ in hooks.events if "Memory ran out" in message]
    assert warnings == [
        f"Memory ran out at step 4 with {before} samples at a time. Training continues with {after} at a time;"
        " a step's batch is still 8 samples"
        for before, after in [(8, 4), (4, 2)]
    ]
    assert little.outcome.state.tokens == enough.outcome.state.tokens
    for key, value in weights(enough).items():
        np.testing.assert_allclose(value, weights(little)[key], atol=1e-4)


@pytest.mark.parametrize("die_at", [3, 9])
def test_a_killed_run_remembers(job: Callable[..., TrainingJob], memory: Callable[..., list[int]], die_at: int) -> None:
    memory(2, first=2)
    undisturbed = run(job("a", **OPTIONS), Recorder())
    memory(2, first=2)
    with pytest.raises(KeyboardInterrupt):
        run(job("b", **OPTIONS), Recorder(die_at=die_at))
    sizes = memory(2, first=2 if die_at == 3 else 0)  # from the start again, or from a checkpoint at step 5
    resumed = run(job("b", **OPTIONS), Recorder())

    assert same(undisturbed, resumed)
    assert set(sizes) == ({8, 2} if die_at == 3 else {2})


def test_after_a_kill_for_memory_each_attempt_takes_half(
    job: Callable[..., TrainingJob], memory: Callable[..., list[int]]
) -> None:
    sizes, hooks = memory(BATCH), Recorder(die_at=7)
    with pytest.raises(KeyboardInterrupt):
        run(replace(job(**OPTIONS), memory_kills=1), hooks)
    assert set(sizes) == {4}
    assert any(
        message == "The kernel killed an earlier attempt because memory ran out with 8 samples at a time."
        " Training continues with 4 at a time; a step's batch is still 8 samples"
        for message, _ in hooks.events
    )
    sizes, hooks = memory(BATCH), Recorder()  # from the checkpoint at step 5, which knows of one kill
    run(replace(job(**OPTIONS), memory_kills=2), hooks)
    assert set(sizes) == {2}
    assert [data["samples_per_micro_batch"] for _, data in hooks.events if "samples_per_micro_batch" in data] == [2]


def test_when_one_row_is_too_much_the_job_says_so(
    job: Callable[..., TrainingJob], memory: Callable[..., list[int]]
) -> None:
    memory(0)
    with pytest.raises(OutOfMemory, match="one sample at a time"):
        run(job(**OPTIONS), Recorder())
