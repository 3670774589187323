import asyncio
import gc
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch

from app.serving.device_model import DeviceModel
from app.serving.engine import Engine
from app.serving.pool import EnginePool, ModelSource
from app.serving.runner import Runner
from app.serving.runners import make_runners
from app.store.manifest import Manifest
from app.store.store import ModelEntry, ModelStore
from app.types import ModalityName, Task
from tests.fakes.loader import WAIT, Loader
from tests.fakes.objective import FakeObjective


@pytest.fixture(autouse=True)
def freeze_objects() -> None:
    """Keeps the objects of earlier tests out of the collections of this one.

    Freeing a model, or memory after a batch that does not fit, collects garbage. Each collection would
    visit all objects of the session.
    """
    gc.freeze()


@pytest.fixture
def make_runner() -> Iterator[Callable[..., Runner]]:
    """Starts runners on the CPU, which go ahead as a GPU's do, and stops them afterwards."""
    runners: list[Runner] = []

    def make(*, start: bool = True, threads: int = 1, ahead: int | None = 1, **options: Any) -> Runner:
        (runner,) = make_runners([torch.device("cpu")], threads=threads, ahead=ahead, **options)
        runners.append(runner)
        if start:
            runner.start()
        return runner

    yield make
    for runner in runners:
        runner.stop()


@pytest.fixture
def runner(make_runner: Callable[..., Runner]) -> Runner:
    return make_runner()


@pytest.fixture
def make_engine() -> Iterator[Callable[[Runner, FakeObjective], Engine]]:
    """Engines of a model `fake@1`, which share their threads."""

    def make(runner: Runner, objective: FakeObjective) -> Engine:
        manifest = Manifest(modality=ModalityName.TEXT, architecture="fake", tasks=tuple(objective.tasks), parameters=2)
        return Engine(ModelEntry("fake", 1, Path("fake/1"), manifest), [DeviceModel(runner, objective)], executor)

    with ThreadPoolExecutor(4) as executor:
        yield make


@pytest.fixture
def fake() -> FakeObjective:
    return FakeObjective()


@pytest.fixture
def engine(make_engine: Callable[[Runner, FakeObjective], Engine], runner: Runner, fake: FakeObjective) -> Engine:
    return make_engine(runner, fake)


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "models")


@pytest.fixture
def publish(store: ModelStore, tmp_path: Path) -> Callable[[str], str]:
    """Publishes the next version of a name and returns its id."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "model.safetensors").write_bytes(b"weights")
    manifest = Manifest(modality=ModalityName.TEXT, architecture="fake", tasks=(Task.EMBED,), parameters=2)
    return lambda name: store.publish(source, manifest, name=name).id


@pytest.fixture
def loader() -> Loader:
    return Loader()


@pytest.fixture
def run(store: ModelStore, loader: Loader, make_runner: Callable[..., Runner]) -> Callable[..., Any]:
    """Runs a coroutine function with a started pool."""

    def run(
        main: Callable[[EnginePool], Awaitable[Any]],
        *,
        source: ModelSource = store,
        runners: list[Runner] | None = None,
        **options: Any,
    ) -> Any:
        async def with_pool() -> Any:
            pool = EnginePool(source, runners or [make_runner(start=False)], **{"load": loader, **options})
            await pool.start()
            try:
                return await main(pool)
            finally:
                await pool.stop()

        return asyncio.run(asyncio.wait_for(with_pool(), WAIT))

    return run
