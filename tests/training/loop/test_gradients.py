"""Gradients that several processes sum while they compute them."""

from functools import partial
from pathlib import Path

import pytest
import torch

from app.training.loop.distributed import launch_group
from app.training.loop.gradients import GradientReducer
from tests.fakes.forks import FORKS
from tests.fakes.gradients import PARTS, build, compute, take_steps
from tests.fakes.peers import accept


def test_sums_of_unequal_parts_equal_one_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.training.loop.distributed.multiprocessing.get_context", lambda method: FORKS)
    with launch_group(len(PARTS), tmp_path, partial(take_steps, tmp_path), accept) as group:
        take_steps(tmp_path, group)

    model, rows = build()
    compute(model, rows, [part for parts in PARTS for part in parts], GradientReducer(model, 1))
    for rank in range(len(PARTS)):
        sent, failed, gradients = torch.load(tmp_path / f"{rank}.pt")
        assert failed == [False, False, True]
        for name, parameter in model.named_parameters():
            torch.testing.assert_close(gradients[name], parameter.grad, rtol=0, atol=1e-6, msg=name)
        # Parameters that no process reaches are the last of six. They hold up the others in the first step alone.
        expected = {0: [0, 4, 0], 1: [0, 4, 4], 2: [0, 0, 0]}[rank]
        assert sent == expected


def test_one_process_sums_nothing() -> None:
    model, rows = build()
    reducer = GradientReducer(model, 1)
    reducer.start()
    compute(model, rows, PARTS[0], reducer)
    assert (reducer.sent, reducer.finish(), reducer.finish(failed=True)) == (0, False, True)
    assert model.unused.weight.grad is None
