"""Items that take several rows, or several steps."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import numpy as np
import pytest

from app.errors import AppError, EmptyInput
from app.modalities.base import BatchRow, Steps
from app.modalities.embedding import EmbedItem
from app.serving.engine import Engine
from app.serving.runner import Runner
from app.types import Task
from tests.fakes.loader import WAIT, occurs
from tests.fakes.objective import FakeObjective, Handler

MakeEngine = Callable[[Runner, FakeObjective], Engine]
WIDTH = 10  # tokens of a row


class Tally(Handler):
    """An item is the number of rows in each of its steps; its answer, what each step's rows gave together.

    Numbers below 0 are mistakes that show only then. A single number is an ordinary row, whose answer it is. A tuple
    of one number says that it takes one step.
    """

    def takes_one_step(self, item: Sequence[int] | int) -> bool:
        return isinstance(item, int | tuple)

    def steps(self, item: Sequence[int] | int) -> Steps:
        if isinstance(item, int):
            yield [BatchRow((item,) * WIDTH, WIDTH)]
            return item
        sums = []
        for count in item:
            if count < 0:
                raise EmptyInput("a step below nothing")
            raws = yield [BatchRow((row + 1,) * WIDTH, WIDTH) for row in range(count)]
            sums.append(sum(float(raw[0, 0]) for raw in raws))
        return sums


def expected(item: Sequence[int]) -> list[float]:
    return [float(np.sin(np.arange(1, count + 1)).sum()) for count in item]


@pytest.fixture
def fake() -> FakeObjective:
    fake = FakeObjective([Task.EMBED])
    fake.tasks[Task.SCORE] = Tally(fake)
    return fake


def run(awaitable: Callable[[], Awaitable[Any]]) -> Any:
    return asyncio.run(asyncio.wait_for(awaitable(), WAIT))


def test_steps_are_answered_in_order_and_ordinary_rows_beside_them(engine: Engine, runner: Runner):
    items = [[3], [1, 2, 3], 7, [], [0, 4], [200]] + [[2, 2]] * 100

    async def main() -> list[Any]:
        return await engine.submit(Task.SCORE, items)

    answers = run(main)
    for item, answer in zip(items, answers, strict=True):
        assert answer == (item if isinstance(item, int) else pytest.approx(expected(item), abs=1e-4))
    assert runner.batcher.in_use == 0


def test_items_of_one_step_have_any_number_of_rows(engine: Engine, runner: Runner):
    items = [(1,), 5, (3,), (200,), 6]

    async def main() -> list[Any]:
        return await engine.submit(Task.SCORE, items)

    for item, answer in zip(items, run(main), strict=True):
        assert answer == (item if isinstance(item, int) else pytest.approx(expected(item), abs=1e-4))
    assert runner.batcher.in_use == 0


def test_rows_of_many_requests_share_batches(engine: Engine, runner: Runner, fake: FakeObjective):
    async def main() -> None:
        fake.gate.clear()
        requests = []
        for _ in range(2):  # one runs, the other is ready to
            requests.append(asyncio.create_task(engine.submit(Task.SCORE, [[1]])))
            await occurs(fake.collated)
        requests += [asyncio.create_task(engine.submit(Task.SCORE, [[3], [2]])) for _ in range(4)]
        while runner.batcher.waiting < 20:
            await asyncio.sleep(0)
        fake.gate.set()
        await asyncio.gather(*requests)

    run(main)
    assert fake.batches == [1, 1, 20]


def test_a_request_keeps_two_batches_in_the_queue_and_others_come_between(
    make_runner: Callable[..., Runner], make_engine: MakeEngine, fake: FakeObjective
):
    runner = make_runner(max_batch_tokens=5 * WIDTH)
    engine = make_engine(runner, fake)
    most = 0
    put = runner.batcher.put

    def watched(*entries: Any) -> None:
        nonlocal most
        put(*entries)
        most = max(most, runner.batcher.waiting)

    runner.batcher.put = watched

    async def main() -> None:
        large = asyncio.create_task(engine.submit(Task.SCORE, [[60], [70], [80]]))
        await occurs(fake.started)
        await engine.submit(Task.EMBED, [EmbedItem("a")])
        assert not large.done()
        assert [len(answer) for answer in await large] == [1, 1, 1]

    run(main)
    assert most <= 11  # two batches of five, and the other's
    assert sum(fake.batches) == 211
    assert max(fake.batches) == 5


def test_a_row_larger_than_a_batch_runs(make_runner: Callable[..., Runner], make_engine: MakeEngine, fake: Any):
    runner = make_runner(max_batch_tokens=1)

    async def main() -> list[Any]:
        return await make_engine(runner, fake).submit(Task.SCORE, [[2], [1]])

    assert run(main) == [pytest.approx(expected([count]), abs=1e-4) for count in (2, 1)]


@pytest.mark.parametrize("late", [False, True])
def test_an_error_drops_the_rest_of_the_request(engine: Engine, runner: Runner, fake: FakeObjective, late: bool):
    if not late:
        fake.errors.append(ValueError())

    async def main() -> None:
        with pytest.raises(EmptyInput if late else AppError):
            await engine.submit(Task.SCORE, [[1, -1] if late else [1], [500, 500]])
        assert runner.batcher.in_use == 0
        assert await engine.submit(Task.SCORE, [[1]]) == [pytest.approx(expected([1]), abs=1e-4)]
        await engine.wait_until_idle()

    run(main)
    assert runner.batcher.waiting == 0


def test_a_caller_who_leaves_is_dropped(engine: Engine, runner: Runner, fake: FakeObjective):
    async def main() -> None:
        fake.gate.clear()
        leaving = asyncio.create_task(engine.submit(Task.SCORE, [[1, 1], [2000]]))
        await occurs(fake.started)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        assert (runner.batcher.waiting, runner.batcher.in_use) == (0, 0)
        fake.gate.set()
        await engine.wait_until_idle()

    run(main)


def test_a_permit_ends_with_its_item(make_runner: Callable[..., Runner], make_engine: MakeEngine, fake: FakeObjective):
    runner = make_runner(max_queued_inputs=2, max_batch_tokens=WIDTH)
    engine = make_engine(runner, fake)

    async def main() -> None:
        large = asyncio.create_task(engine.submit(Task.SCORE, [[1], [300]]))
        while runner.batcher.in_use != 1:
            await asyncio.sleep(0)
        await engine.submit(Task.EMBED, [EmbedItem("a")])
        await large

    run(main)
    assert runner.batcher.in_use == 0
