"""What only a GPU does: its memory, its communication, its compiled kernels."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import nn

from app.devices import serving_forwards
from app.modalities.embedding import EmbedItem
from app.modalities.text.load import load_text
from app.serving.batches import Entry
from app.serving.runner import Runner
from app.serving.served_task import ServedTask
from app.training.job import TrainingJob
from app.training.loop.gradients import GradientReducer
from app.training.run import run
from app.types import Task
from tests.conformance.text_types import build_folder
from tests.fakes.gpu import DEVICE, needs_cuda, needs_gpu
from tests.fakes.runs import Recorder
from tests.training.conftest import job  # noqa: F401

pytestmark = pytest.mark.gpu

_LONG = "the lions chase the zebra . " * 11  # as many tokens as the model reads, nearly
_TEXTS = 60_000 if DEVICE.type == "cuda" else 64
_MEMORY = 512 * 2**20  # less than a batch of all of them takes


@contextmanager
def little_memory() -> Iterator[None]:
    """Limits the memory of the GPU to less than the batch takes; a CPU is left as it is."""
    if DEVICE.type != "cuda":
        yield
        return
    torch.cuda.set_per_process_memory_fraction(_MEMORY / torch.cuda.get_device_properties(DEVICE).total_memory, DEVICE)
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, DEVICE)


def test_a_batch_that_does_not_fit_is_split(tmp_path: Path) -> None:
    folder = build_folder(tmp_path / "bert", "bert")
    expected, tried = load_text(folder).tasks[Task.EMBED], load_text(folder)
    tried.to(DEVICE, torch.float32)
    handler = tried.tasks[Task.EMBED]
    runner = Runner(DEVICE, serving_forwards(DEVICE, 1, 1), max_batch_tokens=10**9, max_queued_inputs=100_000)
    task = ServedTask("bert@1", Task.EMBED, {runner: (handler,)})
    prepared = handler.prepare(EmbedItem(_LONG))
    futures: list[Future[Any]] = runner.batcher.admit(_TEXTS)
    runner.batcher.put([Entry(prepared.inputs, prepared.cost, task, future) for future in futures])
    with little_memory():
        runner.start()
        found = [future.result(timeout=120) for future in futures]
        runner.stop()
    assert DEVICE.type != "cuda" or runner.budget < 10**9
    (raw,) = expected.run(expected.collate([expected.prepare(EmbedItem(_LONG)).inputs]))
    for vector in (found[0], found[-1]):
        torch.testing.assert_close(torch.from_numpy(vector), torch.from_numpy(raw), rtol=1e-3, atol=1e-4)


def test_gradients_of_a_group_are_summed_on_the_device(tmp_path: Path) -> None:
    """One process of a group, by NCCL on a GPU: the sum over the group is its own gradient."""
    if DEVICE.type == "cuda":
        torch.cuda.set_device(DEVICE)
    store = dist.FileStore(str(tmp_path / "store"), 1)  # type: ignore[attr-defined]
    backend = "cpu:gloo,cuda:nccl" if DEVICE.type == "cuda" else "gloo"
    dist.init_process_group(backend, store=store, rank=0, world_size=1)
    layer = nn.Linear(3, 2).to(DEVICE)
    reducer = GradientReducer(layer, 2)
    try:
        reducer.start()
        with reducer.last_backward():
            layer(torch.ones(1, 3, device=DEVICE)).sum().backward()
        assert not reducer.finish()
        for parameter in layer.parameters():
            torch.testing.assert_close(parameter.grad, torch.ones_like(parameter))
    finally:
        reducer.close()
        dist.destroy_process_group()


@needs_gpu
@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=needs_cuda)])
def test_training_gives_the_losses_of_the_cpu(job: Callable[..., TrainingJob], compiled: bool) -> None:  # noqa: F811
    first, second = Recorder(), Recorder()
    expected = run(job("cpu", max_steps=20), first)
    found = run(replace(job("gpu", max_steps=20, compile=compiled), device=str(DEVICE)), second)
    assert found.metrics["eval_loss"] == pytest.approx(expected.metrics["eval_loss"], rel=2e-2)
