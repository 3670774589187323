"""Bounds on concurrent work."""

import asyncio

import pytest

from app.errors import Busy
from app.system.concurrency import ConcurrencyLimiter


def test_few_at_once_some_wait_and_no_more_are_taken() -> None:
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
