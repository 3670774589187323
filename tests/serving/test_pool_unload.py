import asyncio
import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from app.errors import ModelNotFound, NotReady
from app.modalities.embedding import EmbedItem
from app.serving.engine import Engine
from app.serving.pool import EnginePool
from app.store.store import ModelStore
from app.types import Task
from tests.fakes.loader import Loader, occurs
from tests.fakes.objective import FakeObjective


def objective_of(engine: Engine) -> FakeObjective:
    assert isinstance(engine.model, FakeObjective)
    return engine.model


def test_the_least_recently_used_model_is_unloaded(publish: Callable[[str], str], run: Callable[..., Any]):
    for name in ("ant", "bee", "cat", "dog"):
        publish(name)

    async def main(pool: EnginePool) -> None:
        for name in ("ant", "bee", "ant", "cat"):
            await pool.get(name)
        assert pool.loaded() == ["cat@1", "ant@1"]
        await asyncio.gather(pool.get("bee"), pool.get("dog"))
        assert len(pool.loaded()) == 2

    run(main, max_loaded=2)


def test_the_least_recently_used_models_make_room_in_memory(
    publish: Callable[[str], str], loader: Loader, run: Callable[..., Any]
):
    for name in ("ant", "bee", "cat", "dog", "elephant", "fox"):
        publish(name)
    sizes = {"dog": 5, "elephant": 7}  # in weights of four bytes; of all others one and a bias

    def load(folder: Path) -> FakeObjective:
        objective = FakeObjective()
        objective.model = nn.Linear(sizes.get(folder.parent.name, 2) - 1, 1)
        return objective

    async def main(pool: EnginePool) -> None:
        for name in ("ant", "bee", "ant", "cat"):
            await pool.get(name)
        assert pool.memory() == {"bee@1": 8, "ant@1": 8, "cat@1": 8}
        await pool.get("dog")
        assert pool.memory() == {"dog@1": 20}
        with pytest.raises(NotReady, match="elephant@1 takes 28 bytes, more than all models may here"):
            await pool.get("elephant")
        assert pool.memory() == {"dog@1": 20}  # no other was given up for it
        await pool.get("fox")
        assert pool.memory() == {"fox@1": 8}

    run(main, max_bytes=24, load=load)


def test_what_makes_room_is_freed_before_the_next_counts_as_loaded(
    publish: Callable[[str], str], loader: Loader, run: Callable[..., Any]
):
    names = [publish(name) for name in ("ant", "bee", "cat")]

    async def main(pool: EnginePool) -> None:
        for name in names * 3:
            await pool.get(name)
            assert pool.loaded() == [name]
            assert [made() for made in loader.made[:-1]] == [None] * (len(loader.made) - 1)

    run(main, max_bytes=8)
    gc.collect()
    assert [made() for made in loader.made] == [None] * 9


def test_unload_frees_the_model(publish: Callable[[str], str], loader: Loader, run: Callable[..., Any]):
    publish("ant")
    publish("ant")

    async def main(pool: EnginePool) -> None:
        for name in ("ant@1", "ant@2"):
            await (await pool.get(name)).submit(Task.EMBED, [EmbedItem("a")])
        await pool.unload("ant")
        assert pool.loaded() == []
        assert [made() for made in loader.made] == [None, None]  # neither a thread nor the queue keeps it
        await pool.unload("ant")  # nothing to do
        with pytest.raises(ModelNotFound):
            await pool.unload("bee")
        await pool.get("ant")
        assert loader.loads == ["ant@1", "ant@2", "ant@2"]

    run(main)


def test_unload_waits_for_requests_in_flight(publish: Callable[[str], str], loader: Loader, run: Callable[..., Any]):
    publish("ant")

    async def main(pool: EnginePool) -> None:
        engine = await pool.get("ant")
        objective = objective_of(engine)
        objective.gate.clear()
        while objective.started.acquire(blocking=False):
            pass
        request = asyncio.create_task(engine.submit(Task.EMBED, [EmbedItem("a")]))
        await occurs(objective.started)
        unloading = asyncio.create_task(pool.unload("ant"))
        while pool.loaded():
            await asyncio.sleep(0)
        objective.gate.set()
        assert len(await request) == 1
        await unloading

    run(main)


def test_an_evicted_engine_still_answers_who_holds_it(publish: Callable[[str], str], run: Callable[..., Any]):
    publish("ant")
    publish("bee")

    async def main(pool: EnginePool) -> None:
        ant = await pool.get("ant")
        await pool.get("bee")
        assert pool.loaded() == ["bee@1"]
        assert len(await ant.submit(Task.EMBED, [EmbedItem("late")])) == 1

    run(main, max_loaded=1)


def test_unload_during_a_load_unloads_it(publish: Callable[[str], str], loader: Loader, run: Callable[..., Any]):
    publish("ant")
    loader.gate.clear()

    async def main(pool: EnginePool) -> None:
        loading = asyncio.create_task(pool.get("ant"))
        await occurs(loader.entered)
        unloading = asyncio.create_task(pool.unload("ant"))
        loader.gate.set()
        await loading
        await unloading
        assert pool.loaded() == []

    run(main)


def test_unload_of_a_model_that_is_deleted_while_it_loads(
    store: ModelStore, publish: Callable[[str], str], loader: Loader, run: Callable[..., Any]
):
    publish("ant")
    loader.gate.clear()

    async def main(pool: EnginePool) -> None:
        loading = asyncio.create_task(pool.get("ant"))
        await occurs(loader.entered)
        store.delete("ant")
        unloading = asyncio.create_task(pool.unload("ant@1"))
        loader.gate.set()
        await loading
        await unloading
        assert pool.loaded() == []

    run(main)


def test_a_deleted_model_is_dropped(store: ModelStore, publish: Callable[[str], str], loader: Loader, run: Any):
    for name in ("ant", "ant", "bee"):
        publish(name)

    async def main(pool: EnginePool) -> None:
        for name in ("ant@1", "ant@2", "bee"):
            await pool.get(name)
        store.delete("ant@1")
        with pytest.raises(ModelNotFound):
            await pool.get("ant@1")
        assert pool.loaded() == ["bee@1", "ant@2"]
        store.delete("ant")
        await pool.unload("ant@2")  # works for models that the store no longer knows
        assert pool.loaded() == ["bee@1"]
        store.delete("bee")
        publish("cat")
        await pool.get("cat")  # a load sweeps, too
        assert pool.loaded() == ["cat@1"]

    run(main)
    gc.collect()
    assert [made() for made in loader.made] == [None] * 4
