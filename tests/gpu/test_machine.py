"""What only a GPU does: its memory, its communication, its compiled kernels."""

import copy
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import nn

from app.modalities.embedding import EmbedItem
from app.modalities.text.load import load_text
from app.serving.batches import Entry
from app.serving.runner import Runner
from app.serving.served_task import ServedTask
from app.training.job import TrainingJob
from app.training.loop.distributed import ProcessGroup
from app.training.run import run
from app.types import Task
from tests.conformance.text_types import build_folder
from tests.fakes.gpu import DEVICE, needs_cuda
from tests.fakes.runs import Recorder
from tests.training.conftest import job  # noqa: F401

pytestmark = pytest.mark.gpu

_LONG = "the lions chase the zebra . " * 11  # as many tokens as the model reads, nearly
_TEXTS = 60_000
_MEMORY = 512 * 2**20  # less than a batch of all of them takes


@needs_cuda
def test_a_batch_that_does_not_fit_is_split(tmp_path: Path) -> None:
    served = load_text(build_folder(tmp_path / "bert", "bert"))
    expected = served.tasks[Task.EMBED]
    tried = copy.deepcopy(served)
    tried.to(DEVICE, torch.float32)
    handler = tried.tasks[Task.EMBED]
    total = torch.cuda.get_device_properties(DEVICE).total_memory
    runner = Runner(DEVICE, max_batch_tokens=10**9, max_queued_inputs=100_000)
    prepared = handler.prepare(EmbedItem(_LONG))
    torch.cuda.set_per_process_memory_fraction(_MEMORY / total, DEVICE)
    try:
        futures: list[Future[Any]] = runner.batcher.admit(_TEXTS)
        task = ServedTask("bert@1", Task.EMBED, (handler,))
        runner.batcher.put([Entry(prepared.inputs, prepared.cost, task, future) for future in futures])
        runner.start()
        found = [future.result(timeout=120) for future in futures]
        runner.stop()
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, DEVICE)
    (raw,) = expected.run(expected.collate([expected.prepare(EmbedItem(_LONG)).inputs]))
    for vector in (found[0], found[-1]):
        torch.testing.assert_close(torch.from_numpy(vector), torch.from_numpy(raw), rtol=1e-3, atol=1e-4)


@needs_cuda
def test_gradients_are_summed_by_nccl(tmp_path: Path) -> None:
    """One process of a group: the sum over the group is its own gradient."""
    torch.cuda.set_device(DEVICE)
    store = dist.FileStore(str(tmp_path / "store"), 1)  # type: ignore[attr-defined]
    dist.init_process_group("cpu:gloo,cuda:nccl", store=store, rank=0, world_size=1)
    try:
        layer = nn.Linear(3, 2).to(DEVICE)
        layer(torch.ones(1, 3, device=DEVICE)).sum().backward()
        own = [parameter.grad.clone() for parameter in layer.parameters() if parameter.grad is not None]
        ProcessGroup(0, 2).sum_gradients(layer)
        for parameter, before in zip(layer.parameters(), own, strict=True):
            torch.testing.assert_close(parameter.grad, before)
    finally:
        dist.destroy_process_group()


@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=needs_cuda)])
def test_training_gives_the_losses_of_the_cpu(job: Callable[..., TrainingJob], compiled: bool) -> None:  # noqa: F811
    first, second = Recorder(), Recorder()
    expected = run(job("cpu", max_steps=20), first)
    found = run(replace(job("gpu", max_steps=20, compile=compiled), device=str(DEVICE)), second)
    assert found.metrics["eval_loss"] == pytest.approx(expected.metrics["eval_loss"], rel=2e-2)
