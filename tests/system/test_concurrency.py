"""Bounds on concurrent work."""

import asyncio

import pytest

from app.errors import Busy
from app.system.concurrency import ConcurrencyLimiter, TokenBudget, gather_or_cancel, run_watched


def test_few_at_once_some_wait_and_the_others_are_refused() -> None:
    async def main() -> None:
        limiter = ConcurrencyLimiter(2, waiting=1, what="sounds")
        inside: list[int] = []
        go = asyncio.Event()

        async def work(number: int) -> None:
            async with limiter.hold():
                inside.append(number)
                await go.wait()

        tasks = [asyncio.create_task(work(number)) for number in range(4)]
        with pytest.raises(Busy, match="3 sounds"):
            await tasks[3]
        assert inside == [0, 1]
        tasks[0].cancel()  # a client that leaves makes room
        await asyncio.gather(tasks[0], return_exceptions=True)
        later = asyncio.create_task(work(4))
        go.set()
        await asyncio.gather(tasks[1], tasks[2], later)
        assert inside == [0, 1, 2, 4]

    asyncio.run(main())


async def steps(count: int = 5) -> None:
    """Lets every task that can run go on."""
    for _ in range(count):
        await asyncio.sleep(0)


def test_a_budget_is_given_in_the_order_of_arrival() -> None:
    async def main() -> None:
        budget = TokenBudget(10)
        order: list[str] = []
        leave = {name: asyncio.Event() for name in ("first", "large", "small")}

        async def hold(name: str, amount: int) -> None:
            async with budget.hold(amount):
                order.append(name)
                await leave[name].wait()

        tasks = [asyncio.create_task(hold(*each)) for each in (("first", 4), ("large", 100), ("small", 1))]
        await steps()
        assert (order, budget.held) == (["first"], 4)  # the small one would fit, but waits behind the large one
        leave["first"].set()
        await steps()
        assert (order, budget.held) == (["first", "large"], 10)
        leave["large"].set()
        leave["small"].set()
        await asyncio.gather(*tasks)
        assert (order, budget.held) == (["first", "large", "small"], 0)

    asyncio.run(main())


def test_who_leaves_the_line_makes_room_for_those_behind() -> None:
    async def main() -> None:
        budget = TokenBudget(10)

        async def hold(amount: int) -> None:
            async with budget.hold(amount):
                await asyncio.Event().wait()

        tasks = [asyncio.create_task(hold(amount)) for amount in (6, 8, 3)]
        await steps()
        assert budget.held == 6
        tasks[1].cancel()
        await steps()
        assert budget.held == 9
        tasks[0].cancel()
        tasks[2].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert budget.held == 0

    asyncio.run(main())


def test_a_part_that_is_granted_to_a_cancelled_caller_returns() -> None:
    async def main() -> None:
        budget = TokenBudget(1)

        async def hold() -> None:
            async with budget.hold(1):
                raise AssertionError("it was cancelled")

        async with budget.hold(1):
            waiting = asyncio.create_task(hold())
            await steps()
        waiting.cancel()  # granted by the line above, but it has not run since
        await asyncio.gather(waiting, return_exceptions=True)
        assert waiting.cancelled()
        assert budget.held == 0

    asyncio.run(main())


def test_the_first_failure_ends_the_others() -> None:
    ended: list[str] = []

    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("waiting")

    async def fail() -> None:
        await asyncio.sleep(0)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        asyncio.run(gather_or_cancel([wait(), fail()]))
    assert ended == ["waiting"]


def test_watched_work_is_cancelled_as_soon_as_the_check_raises() -> None:
    ended: list[str] = []
    checked: list[int] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")

    def check() -> None:
        checked.append(len(checked))
        if len(checked) == 3:
            raise Busy("stop")

    with pytest.raises(Busy, match="stop"):
        asyncio.run(run_watched(work(), check, 0.0))
    assert (ended, checked) == (["cancelled"], [0, 1, 2])


def test_watched_work_raises_its_own_error() -> None:
    async def work() -> None:
        raise Busy("full")

    with pytest.raises(Busy, match="full"):
        asyncio.run(run_watched(work(), lambda: None, 10.0))
