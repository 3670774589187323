"""One pool with several devices. Runners of the CPU stand for GPUs."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from app.errors import InvalidValue, NotReady
from app.inference.build import build_pool
from app.modalities.embedding import EmbedItem
from app.serving.batches import Entry
from app.serving.engine import Engine
from app.serving.pool import EnginePool
from app.serving.runner import Runner
from app.serving.runners import make_runners
from app.serving.served_task import ServedTask
from app.settings import Settings
from app.store.store import ModelStore
from app.types import Task
from tests.fakes.loader import WAIT, Loader, occurs
from tests.fakes.objective import FakeObjective

TEXTS = [" ".join(f"w{i}" for i in range(length)) for length in (5, 1, 7, 3, 3, 12, 2)]


def devices(count: int, **options: Any) -> list[Runner]:
    """Runners that take a batch ahead, as those of GPUs do."""
    return make_runners([torch.device("cpu")] * count, threads=1, **{"ahead": 1, **options})


def warmed_up(objective: FakeObjective) -> FakeObjective:
    while objective.started.acquire(blocking=False):
        pass
    return objective


def objectives(loader: Loader) -> list[FakeObjective]:
    """The model on each device, in order."""
    found = [made() for made in loader.made]
    return [warmed_up(each) for each in found if each is not None]


async def embed(engine: Engine, *texts: str) -> list[Any]:
    return [result.vector for result in await engine.submit(Task.EMBED, [EmbedItem(text) for text in texts])]


async def occupy(engine: Engine, models: Sequence[FakeObjective]) -> list[asyncio.Task[list[Any]]]:
    """Starts a request on each device, which runs until the gates of the models open."""
    for each in models:
        each.gate.clear()
    requests = []
    idle = list(models)
    while idle:
        requests.append(asyncio.create_task(embed(engine, "occupied")))
        while not (started := [each for each in idle if each.started.acquire(blocking=False)]):
            await asyncio.sleep(0)
        idle.remove(*started)
    return requests


def test_answers_equal_those_of_one_device(publish: Callable[[str], str], run: Callable[..., Any]) -> None:
    publish("ant")

    async def main(pool: EnginePool) -> list[Any]:
        return await embed(await pool.get(), *TEXTS)

    one, two = run(main, runners=devices(1)), run(main, runners=devices(2, ahead=0))
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_model_is_warmed_up_on_each_device(
    publish: Callable[[str], str], loader: Loader, run: Callable[..., Any]
) -> None:
    publish("ant")

    async def main(pool: EnginePool) -> None:
        engine = await pool.get()
        assert engine.devices == ["cpu:0", "cpu:1", "cpu:2"]
        assert [each.batches for each in objectives(loader)] == [[1, 1]] * 3  # an example of each task
        assert pool.device_bytes("cpu:2") == 8
        assert pool.memory() == {"ant@1": 24}

    run(main, runners=devices(3))


def test_a_request_runs_on_the_device_that_is_free(
    publish: Callable[[str], str], loader: Loader, run: Callable[..., Any]
) -> None:
    publish("ant")

    async def main(pool: EnginePool) -> None:
        engine = await pool.get()
        models = objectives(loader)
        # While one device runs the first request, the threads of both wait for a batch. The busy one leaves it.
        requests = await occupy(engine, models)
        for each in models:
            each.gate.set()
        await asyncio.gather(*requests)

    run(main, runners=devices(2))


def test_a_large_request_is_spread(publish: Callable[[str], str], loader: Loader, run: Callable[..., Any]) -> None:
    publish("ant")

    async def main(pool: EnginePool) -> None:
        engine = await pool.get()
        models = objectives(loader)
        for each in models:
            each.gate.clear()
        request = asyncio.create_task(embed(engine, *["a b c d"] * 100))
        for each in models:
            await occurs(each.started)
        for each in models:
            each.gate.set()
        await request
        assert all(sum(each.batches[2:]) >= 32 for each in models)  # batches of at least 128 tokens

    run(main, runners=devices(2))


def test_models_on_some_devices_are_placed_where_there_is_room(
    publish: Callable[[str], str], run: Callable[..., Any]
) -> None:
    for name in ("ant", "bee", "cat", "dog"):
        publish(name)

    async def main(pool: EnginePool) -> None:
        ant, bee = await pool.get("ant"), await pool.get("bee")
        assert (ant.devices, bee.devices) == (["cpu:0"], ["cpu:1"])
        for engine in (ant, bee):
            assert len(await embed(engine, "a", "b")) == 2
        assert (await pool.get("cat")).devices == ["cpu:0"]
        await pool.get("ant")
        assert (await pool.get("dog")).devices == ["cpu:1"]
        await pool.get("bee")
        assert [pool.device_bytes(device) for device in pool.devices] == [16, 16]
        publish("eel")
        await pool.get("eel")  # both are full, and the least recently used model of the first is the cat
        assert pool.loaded() == ["eel@1", "bee@1", "dog@1", "ant@1"]

    run(main, runners=devices(2), model_devices=1, max_bytes=16)


def test_the_memory_of_a_device_is_bounded(publish: Callable[[str], str], run: Callable[..., Any]) -> None:
    for name in ("ant", "bee", "cat"):
        publish(name)

    async def main(pool: EnginePool) -> None:
        for name in ("ant", "bee", "cat"):
            await pool.get(name)
        assert pool.loaded() == ["cat@1", "bee@1"]
        assert [pool.device_bytes(device) for device in pool.devices] == [16, 16]

    run(main, runners=devices(2), max_bytes=16)


def test_a_model_is_freed_when_the_batches_of_all_devices_have_ended(
    publish: Callable[[str], str], loader: Loader, run: Callable[..., Any]
) -> None:
    publish("ant")

    async def main(pool: EnginePool) -> None:
        engine = await pool.get("ant")
        models = objectives(loader)
        gates = [each.gate for each in models]
        requests = await occupy(engine, models)
        del engine, models
        unloading = asyncio.create_task(pool.unload("ant"))
        while pool.loaded():
            await asyncio.sleep(0)
        gates[0].set()
        await asyncio.wait(requests, return_when=asyncio.FIRST_COMPLETED)
        assert not unloading.done()
        gates[1].set()
        await asyncio.gather(*requests)
        requests.clear()
        await unloading
        assert [made() for made in loader.made] == [None, None]

    run(main, runners=devices(2))


def test_out_of_memory_on_one_device_is_no_matter_of_the_others(
    publish: Callable[[str], str], loader: Loader, run: Callable[..., Any]
) -> None:
    publish("ant")
    runners = devices(2)

    async def main(pool: EnginePool) -> None:
        engine = await pool.get()
        small, large = objectives(loader)
        small.memory = 60
        small.gate.clear()
        large.gate.clear()
        request = asyncio.create_task(embed(engine, *["a b c d"] * 64))
        await occurs(small.started)
        await occurs(large.started)
        small.gate.set()
        large.gate.set()
        assert len(await request) == 64
        assert runners[0].budget < runners[1].budget == 4096

    run(main, runners=runners)


def test_no_device_takes_a_model_that_it_does_not_have() -> None:
    first, second = devices(2)
    fake = FakeObjective()
    served = ServedTask("fake@1", Task.EMBED, {second: (fake.tasks[Task.EMBED],)})
    futures: list[Future[Any]] = first.batcher.admit(3)
    first.batcher.put([Entry((1,), 1, served, future) for future in futures])
    assert first.batcher.next_batch(first, timeout=0) is None
    second.start()
    assert len([future.result(WAIT) for future in futures]) == 3
    second.stop()


def test_stop_ends_the_batches_of_all_devices(
    publish: Callable[[str], str], loader: Loader, run: Callable[..., Any]
) -> None:
    publish("ant")

    async def main(pool: EnginePool) -> None:
        engine = await pool.get()
        models = objectives(loader)
        running = await occupy(engine, models)
        stopping = asyncio.create_task(pool.stop())
        for each in models:
            each.gate.set()
        assert all(len(vectors) == 1 for vectors in await asyncio.gather(*running))
        await stopping
        assert not pool.healthy
        with pytest.raises(NotReady):
            await embed(engine, "late")

    run(main, runners=devices(2))


def test_a_load_that_fails_on_one_device_fails(publish: Callable[[str], str], run: Callable[..., Any]) -> None:
    publish("ant")
    loaders = [Loader(), Loader()]
    loaders[1].error = MemoryError()
    turns = iter(loaders)

    def load(folder: Path) -> FakeObjective:
        return next(turns)(folder)

    async def main(pool: EnginePool) -> None:
        with pytest.raises(NotReady, match="does not fit in the memory of cpu:0 or cpu:1"):
            await pool.get()
        assert pool.loaded() == []

    run(main, runners=devices(2), load=load)


def test_devices_are_checked_at_the_start(store: ModelStore) -> None:
    assert build_pool(Settings(device="cpu, cpu", model_devices=1), store).devices == ["cpu:0", "cpu:1"]
    with pytest.raises(InvalidValue, match="CLOZE_DEVICE: unknown device 'gpu'"):
        build_pool(Settings(device="cpu,gpu"), store)
