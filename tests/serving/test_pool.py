import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import torch

from app.errors import AppError, InvalidModel, ModelNotFound, NotReady
from app.serving.engine import Engine
from app.serving.pool import EnginePool
from app.serving.runner import Runner
from app.store.store import ModelEntry, ModelStore
from app.types import Task
from tests.fakes.loader import Loader, occurs
from tests.fakes.objective import FakeObjective


class Recorder:
    def __init__(self) -> None:
        self.loads: list[str] = []

    def on_batch(self, model: str, task: Task, device: str, *, size: int, tokens: int, seconds: float) -> None:
        raise AssertionError("the runner observes batches")

    def on_load(self, model: str, seconds: float) -> None:
        assert seconds > 0
        self.loads.append(model)


def objective_of(engine: Engine) -> FakeObjective:
    assert isinstance(engine.model, FakeObjective)
    return engine.model


# Which model


def test_the_default_model(store: ModelStore, publish: Callable[[str], str], run: Callable[..., Any]):
    async def default(pool: EnginePool) -> tuple[str, str]:
        return pool.default_id(), (await pool.get()).entry.id

    with pytest.raises(NotReady, match="no model"):
        run(default)
    publish("zebra")
    publish("ant")
    publish("ant")
    assert run(default) == ("ant@2", "ant@2")
    publish("cloze-text")
    assert run(default) == ("cloze-text@1", "cloze-text@1")
    assert run(default, default_model="zebra") == ("zebra@1", "zebra@1")
    with pytest.raises(ModelNotFound):
        run(default, default_model="gone")


@pytest.mark.parametrize("default", ["zebra", None])
def test_the_default_model_is_resolved_once_a_request(
    store: ModelStore, publish: Callable[[str], str], run: Callable[..., Any], default: str | None
):
    class Counting:
        def __init__(self) -> None:
            self.resolved: list[str] = []

        def list(self) -> list[ModelEntry]:
            return store.list()

        def resolve(self, model_id: str) -> ModelEntry:
            self.resolved.append(model_id)
            return store.resolve(model_id)

    async def main(pool: EnginePool) -> None:
        await pool.get()
        source.resolved.clear()
        await pool.get()

    publish("cloze-text")
    publish("zebra")
    source = Counting()
    run(main, source=source, default_model=default)
    assert source.resolved == [default or "cloze-text"]


def test_an_unknown_model(publish: Callable[[str], str], run: Callable[..., Any]):
    publish("ant")
    with pytest.raises(ModelNotFound, match="ant"):
        run(lambda pool: pool.get("amt"))


def test_ids_of_the_same_version_share_an_engine(
    store: ModelStore, publish: Callable[[str], str], loader: Loader, run: Callable[..., Any]
):
    publish("ant")
    store.set_alias("ant", "prod", 1)

    async def main(pool: EnginePool) -> None:
        assert await pool.get("ant") is await pool.get("ant@1") is await pool.get("ant:prod")
        assert pool.loaded() == ["ant@1"]

    run(main)
    assert loader.loads == ["ant@1"]


def test_a_new_version_is_served_with_the_next_request(publish: Callable[[str], str], run: Callable[..., Any]):
    publish("ant")

    async def main(pool: EnginePool) -> None:
        assert (await pool.get("ant")).entry.version == 1
        publish("ant")
        assert (await pool.get("ant")).entry.version == 2
        assert (await pool.get("ant@1")).entry.version == 1
        assert pool.loaded() == ["ant@1", "ant@2"]

    run(main)


# Loading


def test_a_model_is_placed_and_warmed_up_before_it_counts_as_loaded(publish: Callable[[str], str], run: Any):
    publish("ant")
    observer = Recorder()

    async def main(pool: EnginePool) -> None:
        objective = objective_of(await pool.get())
        assert objective.placed == (torch.device("cpu"), torch.bfloat16)
        assert objective.batches == [1, 1]  # an example of each task
        assert observer.loads == pool.loaded() == ["ant@1"]
        assert pool.queue_depth == 0

    run(main, dtype=torch.bfloat16, observer=observer)


def test_many_callers_load_a_model_once(publish: Callable[[str], str], loader: Loader, run: Callable[..., Any]):
    publish("ant")
    loader.gate.clear()

    async def main(pool: EnginePool) -> None:
        callers = [asyncio.create_task(pool.get("ant")) for _ in range(20)]
        await occurs(loader.entered)
        callers[0].cancel()  # whoever came first may leave
        assert pool.loaded() == []
        loader.gate.set()
        engines = await asyncio.gather(*callers[1:])
        assert {id(engine) for engine in engines} == {id(await pool.get("ant"))}

    run(main)
    assert loader.loads == ["ant@1"]


@pytest.mark.parametrize(
    ("error", "seen"),
    [
        (InvalidModel("no config.json"), InvalidModel),
        (OSError("disk on fire"), AppError),
        (MemoryError(), NotReady),
    ],
)
def test_a_failing_load_fails_all_who_wait_and_is_tried_again(
    error: Exception, seen: type[AppError], publish: Callable[[str], str], loader: Loader, run: Callable[..., Any]
):
    publish("ant")

    async def main(pool: EnginePool) -> None:
        loader.error = error
        errors = await asyncio.gather(*(pool.get("ant") for _ in range(3)), return_exceptions=True)
        assert {type(each) for each in errors} == {seen}
        assert len({id(each) for each in errors}) == 3
        assert "fire" not in str(errors[0])
        loader.error = None
        assert (await pool.get("ant")).entry.id == "ant@1"

    run(main)


def test_a_model_deleted_while_it_is_being_read_is_not_found(
    store: ModelStore, publish: Callable[[str], str], loader: Loader, run: Callable[..., Any]
):
    publish("ant")
    loader.gate.clear()

    async def main(pool: EnginePool) -> None:
        loading = asyncio.create_task(pool.get("ant"))
        await occurs(loader.entered)
        store.delete("ant@1")
        loader.error = InvalidModel("the model folder has no readable config.json")
        loader.gate.set()
        with pytest.raises(ModelNotFound):
            await loading

    run(main)


def test_a_load_that_fails_costs_no_other_model_its_place(
    publish: Callable[[str], str], loader: Loader, run: Callable[..., Any]
):
    publish("ant")
    publish("bee")

    async def main(pool: EnginePool) -> None:
        await pool.get("ant")
        loader.error = InvalidModel("broken")
        with pytest.raises(InvalidModel):
            await pool.get("bee")
        assert pool.loaded() == ["ant@1"]

    run(main, max_loaded=1)


# Life


def test_healthy_while_the_device_answers(store: ModelStore, loader: Loader, make_runner: Callable[..., Runner]):
    async def main() -> None:
        pool = EnginePool(store, [make_runner(start=False)], load=loader)
        assert not pool.healthy
        await pool.start()
        assert pool.healthy
        await pool.stop()
        assert not pool.healthy

    asyncio.run(main())


def test_stop_during_a_load_tells_who_waits(publish: Callable[[str], str], loader: Loader, run: Callable[..., Any]):
    publish("ant")
    loader.gate.clear()

    async def main(pool: EnginePool) -> None:
        waiting = asyncio.create_task(pool.get("ant"))
        await occurs(loader.entered)
        stopping = asyncio.create_task(pool.stop())
        with pytest.raises(NotReady):
            await waiting
        loader.gate.set()
        await stopping

    run(main)
