"""Items that are files, which weigh far more decoded than as they came."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.errors import EmptyInput, InvalidData
from app.modalities.base import Prepared
from app.modalities.embedding import EmbedItem, EmbedResult
from app.serving.device_model import DeviceModel
from app.serving.engine import Engine
from app.serving.runner import Runner
from app.store.manifest import Manifest
from app.store.store import ModelEntry
from app.system.process_pool import ProcessPool
from app.types import ModalityName, Task
from tests.fakes.faults import begun, crash, has_ended, touch_and_sleep
from tests.fakes.loader import WAIT, occurs
from tests.fakes.objective import Embed, FakeObjective

BATCH = 4  # tokens
HELD = 2 * BATCH + 4  # rows of one token in two batches, and those that wait for room


class Files(Embed):
    """Counts the items that are held between `prepare` and the end of `finish`."""

    reads_files = True

    def __init__(self, objective: FakeObjective) -> None:
        super().__init__(objective)
        self.held = self.most = self.prepared = 0
        self._guard = threading.Lock()

    def prepare(self, item: EmbedItem) -> Prepared:
        with self._guard:
            self.prepared += 1
            self.held += 1
            self.most = max(self.most, self.held)
        return super().prepare(item)

    def finish(self, prepared: Prepared, raw: np.ndarray) -> EmbedResult:
        try:
            return super().finish(prepared, raw)
        finally:
            with self._guard:
                self.held -= 1


@pytest.fixture
def files(fake: FakeObjective) -> Files:
    fake.tasks[Task.EMBED] = files = Files(fake)
    return files


@pytest.fixture
def runner(make_runner: Callable[..., Runner]) -> Runner:
    return make_runner(max_batch_tokens=BATCH)


def run(awaitable: Callable[[], Awaitable[Any]]) -> Any:
    return asyncio.run(asyncio.wait_for(awaitable(), WAIT))


def embeds(*texts: str) -> list[EmbedItem]:
    return [EmbedItem(text) for text in texts]


def test_few_are_held_at_once_and_all_are_answered_in_order(files: Files, engine: Engine, runner: Runner) -> None:
    async def main() -> list[list[EmbedResult]]:
        return await asyncio.gather(*(engine.submit(Task.EMBED, embeds(*"abcdefgh" * 10)) for _ in range(3)))

    answers = run(main)

    assert files.most <= HELD
    assert files.prepared == 240
    for answer in answers:
        for place, result in enumerate(answer):
            np.testing.assert_allclose(result.vector, answer[place % 8].vector, atol=1e-6)
    assert runner.batcher.in_use == 0


def test_texts_do_not_wait_for_what_is_being_decoded(
    files: Files, engine: Engine, runner: Runner, make_engine: Callable[..., Engine]
) -> None:
    going = threading.Event()
    begun = threading.Semaphore(0)
    prepare = files.prepare

    def slow(item: EmbedItem) -> Prepared:
        begun.release()
        assert going.wait(WAIT)
        return prepare(item)

    files.prepare = slow  # type: ignore[method-assign]

    async def main() -> None:
        decoding = [asyncio.create_task(engine.submit(Task.EMBED, embeds(*"abcd"))) for _ in range(2)]
        for _ in range(4):
            await occurs(begun)
        texts = make_engine(runner, FakeObjective())
        assert len(await texts.submit(Task.EMBED, embeds(*"abcdefgh"))) == 8
        going.set()
        await asyncio.gather(*decoding)

    run(main)


def test_one_that_weighs_more_than_all_the_room_is_answered(files: Files, engine: Engine) -> None:
    async def main() -> list[EmbedResult]:
        return await engine.submit(Task.EMBED, embeds("a", " ".join("b" * 50), "c"))

    assert [result.tokens for result in run(main)] == [1, 50, 1]


@pytest.fixture
def decoded_apart(files: Files, fake: FakeObjective, runner: Runner, tmp_path: Path) -> Iterator[Engine]:
    """An engine whose files are decoded in a child process, each as its text says."""

    def decoding(item: EmbedItem) -> Callable[[], Any]:
        faults = {"crash": crash, "stuck": partial(touch_and_sleep, tmp_path / "pid")}
        return faults.get(str(item.input), partial(copy, item))

    files.decoding = decoding  # type: ignore[assignment]
    manifest = Manifest(modality=ModalityName.IMAGE, architecture="fake", tasks=(Task.EMBED,), parameters=2)
    with ProcessPool(1) as decoders, ThreadPoolExecutor(1) as executor:
        yield Engine(ModelEntry("fake", 1, Path("fake/1"), manifest), [DeviceModel(runner, fake)], executor, decoders)


def test_a_file_that_crashes_its_decoder_fails_alone(decoded_apart: Engine, runner: Runner) -> None:
    async def main() -> list[Any]:
        one_by_one = (decoded_apart.submit(Task.EMBED, embeds(each)) for each in ("a", "crash", "b"))
        return await asyncio.gather(*one_by_one, return_exceptions=True)

    first, crashed, last = run(main)
    assert isinstance(crashed, InvalidData) and "SIGSEGV" in crashed.message
    assert [result.tokens for result in (*first, *last)] == [1, 1]
    assert runner.batcher.in_use == 0


def test_who_leaves_ends_the_decoding(decoded_apart: Engine, tmp_path: Path) -> None:
    async def main() -> int:
        leaving = asyncio.create_task(decoded_apart.submit(Task.EMBED, embeds("stuck", "a")))
        pid = await asyncio.to_thread(begun, tmp_path / "pid")
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        return pid

    assert has_ended(run(main))
    assert len(run(lambda: decoded_apart.submit(Task.EMBED, embeds("b")))) == 1


def test_an_example_starts_no_process(decoded_apart: Engine) -> None:
    before = set(threading.enumerate())  # with those of pools that other tests share
    run(decoded_apart.warm_up)
    assert not any(thread.name.startswith("process-") for thread in set(threading.enumerate()) - before)


def test_a_mistake_ends_the_rest(files: Files, engine: Engine, runner: Runner, fake: FakeObjective) -> None:
    fake.gate.clear()

    async def main() -> None:
        try:
            with pytest.raises(EmptyInput):
                await engine.submit(Task.EMBED, embeds(*"abcd", "", *"e" * 100))
        finally:
            fake.gate.set()
        await engine.wait_until_idle()

    run(main)
    assert files.prepared <= HELD + 1


def test_who_leaves_ends_the_rest(files: Files, engine: Engine, runner: Runner, fake: FakeObjective) -> None:
    fake.gate.clear()

    async def main() -> None:
        leaving = asyncio.create_task(engine.submit(Task.EMBED, embeds(*"a" * 100)))
        await occurs(fake.started)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        fake.gate.set()
        assert len(await engine.submit(Task.EMBED, embeds("b"))) == 1

    run(main)
    assert files.prepared <= HELD + 1
