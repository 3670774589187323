import asyncio
import random
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest

from app.errors import AppError, Busy, EmptyInput, NotReady, TaskNotSupported
from app.modalities.classification import ClassifyItem
from app.modalities.embedding import EmbedItem
from app.modalities.text.items import FillMaskItem
from app.serving.engine import Engine
from app.serving.runner import Runner
from app.types import Task
from tests.fakes.loader import WAIT, occurs
from tests.fakes.objective import HEAD, FakeObjective

MakeEngine = Callable[[Runner, FakeObjective], Engine]


def run(awaitable: Callable[[], Awaitable[Any]]) -> Any:
    return asyncio.run(asyncio.wait_for(awaitable(), WAIT))


def embeds(*texts: str) -> list[EmbedItem]:
    return [EmbedItem(text) for text in texts]


def test_results_keep_the_order_of_the_items(engine: Engine, runner: Runner, fake: FakeObjective):
    rng = random.Random(0)
    texts = [" ".join(rng.choices("abcdefgh", k=rng.randint(1, 30))) for _ in range(100)]

    async def main() -> None:
        together = await engine.submit(Task.EMBED, embeds(*texts))
        assert [result.tokens for result in together] == [len(text.split()) for text in texts]
        for text, result in zip(texts[:5], together, strict=False):
            (single,) = await engine.submit(Task.EMBED, embeds(text))
            np.testing.assert_array_equal(single.vector, result.vector)

    run(main)
    assert runner.batcher.in_use == 0


def test_tasks_share_a_device_but_no_batch(engine: Engine, runner: Runner, fake: FakeObjective):
    async def main() -> None:
        (vector,), (filled,) = await asyncio.gather(
            engine.submit(Task.EMBED, embeds("a b")),
            engine.submit(Task.FILL_MASK, [FillMaskItem("a [MASK] b", top_k=2)]),
        )
        assert vector.vector.shape == (8,)
        assert [candidate.sequence for candidate in filled.masks[0].candidates] == ["a lion b", "a deer b"]

    run(main)
    assert fake.batches == [1, 1]


def test_classification_shares_the_batches_of_embeddings(make_engine: MakeEngine, make_runner: Callable[..., Runner]):
    fake = FakeObjective([Task.EMBED, Task.CLASSIFY])
    runner = make_runner(ahead=0)
    engine = make_engine(runner, fake)

    async def main() -> None:
        fake.gate.clear()
        blocked = asyncio.create_task(engine.submit(Task.EMBED, embeds("first")))
        await occurs(fake.started)
        asked = [
            asyncio.create_task(engine.submit(Task.EMBED, embeds("a b"))),
            asyncio.create_task(engine.submit(Task.CLASSIFY, [ClassifyItem("a b"), ClassifyItem("c d")])),
        ]
        while runner.batcher.waiting < 3:
            await asyncio.sleep(0)
        fake.gate.set()
        await blocked
        (vector,), (classified, _) = await asyncio.gather(*asked)
        (vector,) = await engine.submit(Task.EMBED, [EmbedItem("a b", normalize=False)])
        np.testing.assert_allclose(classified.logits, HEAD.logits(vector.vector))

    run(main)
    assert fake.batches == [1, 3, 1]


def test_no_items_no_work(engine: Engine, runner: Runner, fake: FakeObjective):
    async def main() -> None:
        assert await engine.submit(Task.EMBED, []) == []

    run(main)
    assert fake.batches == []


def test_a_task_that_the_model_lacks_names_what_it_can_do(make_engine: MakeEngine, runner: Runner):
    async def main() -> None:
        await make_engine(runner, FakeObjective([Task.EMBED])).submit(Task.FILL_MASK, [])

    with pytest.raises(TaskNotSupported, match="fake@1 cannot do fill-mask; it can do embeddings"):
        run(main)


def test_an_item_at_fault_fails_the_request_before_the_device(engine: Engine, runner: Runner, fake: FakeObjective):
    async def main() -> None:
        await engine.submit(Task.EMBED, embeds(*["fine"] * 50, ""))

    with pytest.raises(EmptyInput):
        run(main)
    assert fake.batches == []
    assert runner.batcher.in_use == 0


def test_busy_at_once_and_free_again(make_runner: Callable[..., Runner], make_engine: MakeEngine, fake: FakeObjective):
    runner = make_runner(max_queued_inputs=4)
    engine = make_engine(runner, fake)

    async def main() -> None:
        fake.gate.clear()
        first = asyncio.create_task(engine.submit(Task.EMBED, embeds("a", "b", "c")))
        await occurs(fake.started)
        with pytest.raises(Busy) as busy:
            await engine.submit(Task.EMBED, embeds("d", "e"))
        assert busy.value.retry_after >= 1
        second = asyncio.create_task(engine.submit(Task.EMBED, embeds("d")))
        fake.gate.set()
        assert len(await first) == 3
        assert len(await second) == 1
        assert len(await engine.submit(Task.EMBED, embeds("d", "e", "f", "g"))) == 4

    run(main)
    assert runner.batcher.in_use == 0


def test_a_caller_who_leaves_is_dropped(engine: Engine, runner: Runner, fake: FakeObjective):
    async def main() -> None:
        fake.gate.clear()
        staying = []
        for text in ("running", "taken in advance"):
            staying.append(asyncio.create_task(engine.submit(Task.EMBED, embeds(text))))
            await occurs(fake.collated)
        queued = asyncio.Event()
        put = runner.batcher.put

        def put_and_tell(*entries: Any) -> None:
            put(*entries)
            queued.set()

        runner.batcher.put = put_and_tell
        leaving = asyncio.create_task(engine.submit(Task.EMBED, embeds("x", "y", "z")))
        await queued.wait()
        assert runner.batcher.waiting == 3
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        assert (runner.batcher.waiting, runner.batcher.in_use) == (0, 2)
        fake.gate.set()
        await asyncio.gather(*staying)
        await engine.wait_until_idle()

    run(main)
    assert fake.batches == [1, 1]
    assert runner.batcher.in_use == 0


def test_the_first_error_drops_the_rest_of_the_request(
    make_runner: Callable[..., Runner], make_engine: MakeEngine, fake: FakeObjective
):
    runner = make_runner(max_batch_tokens=1)  # each item its own batch
    engine = make_engine(runner, fake)

    async def main() -> None:
        fake.errors.append(ValueError())
        with pytest.raises(AppError):
            await engine.submit(Task.EMBED, embeds(*"abcdefgh"))
        assert len(await engine.submit(Task.EMBED, embeds("i"))) == 1

    run(main)
    assert runner.batcher.in_use == 0


def test_a_stopping_server_is_not_ready(engine: Engine, runner: Runner, fake: FakeObjective):
    async def main() -> None:
        runner.stop()
        await engine.submit(Task.EMBED, embeds("a"))

    with pytest.raises(NotReady):
        run(main)


def test_warming_up_takes_no_permit(make_runner: Callable[..., Runner], make_engine: MakeEngine, fake: FakeObjective):
    runner = make_runner(max_queued_inputs=1)
    engine = make_engine(runner, fake)
    runner.batcher.admit(1)

    async def main() -> None:
        await engine.warm_up()

    run(main)
    assert fake.batches == [1, 1]


def test_few_quick_items_need_no_thread(runner: Runner, fake: FakeObjective, make_engine: MakeEngine):
    handler = fake.tasks[Task.EMBED]
    handler.is_quick = lambda item: len(item.input) < 10  # type: ignore[attr-defined]
    engine = make_engine(runner, fake)
    threads: list[str] = []
    prepare = handler.prepare

    def noted(item: Any) -> Any:
        threads.append(threading.current_thread().name)
        return prepare(item)

    handler.prepare = noted  # type: ignore[method-assign]

    async def main() -> list[bool]:
        here = threading.current_thread().name
        for texts in (["a b"], ["a b"] * 100, ["a b", "a b c d e f"]):
            await engine.submit(Task.EMBED, embeds(*texts))
        return [name == here for name in threads]

    assert run(main) == [True] + [False] * 102


def test_a_large_request_leaves_a_thread_to_the_others(runner: Runner, fake: FakeObjective, make_engine: MakeEngine):
    handler = fake.tasks[Task.EMBED]
    prepare = handler.prepare
    entered, gate = threading.Semaphore(0), threading.Event()

    def slow(item: Any) -> Any:
        if item.input == "slow":
            entered.release()
            assert gate.wait(WAIT)
        return prepare(item)

    handler.prepare = slow  # type: ignore[method-assign]
    engine = make_engine(runner, fake)

    async def main() -> None:
        large = asyncio.create_task(engine.submit(Task.EMBED, embeds(*["slow"] * 500)))
        try:
            for _ in range(3):
                await occurs(entered)
            assert len(await engine.submit(Task.EMBED, embeds("small"))) == 1
        finally:
            gate.set()
        assert len(await large) == 500

    run(main)


def test_nothing_more_is_prepared_for_who_has_left(runner: Runner, fake: FakeObjective, make_engine: MakeEngine):
    handler = fake.tasks[Task.EMBED]
    prepare = handler.prepare
    entered, gate = threading.Semaphore(0), threading.Event()
    begun = []

    def slow(item: Any) -> Any:
        begun.append(item)
        entered.release()
        assert gate.wait(WAIT)
        return prepare(item)

    handler.prepare = slow  # type: ignore[method-assign]
    engine = make_engine(runner, fake)

    async def main() -> None:
        leaving = asyncio.create_task(engine.submit(Task.EMBED, embeds(*"abc" * 100)))
        for _ in range(3):
            await occurs(entered)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        gate.set()
        assert len(await engine.submit(Task.EMBED, embeds(*"d" * 100))) == 100

    run(main)
    assert len(begun) == 3 + 100
