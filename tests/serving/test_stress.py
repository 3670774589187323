import asyncio
import random
from collections import Counter
from collections.abc import Callable

import pytest
import torch

from app.errors import AppError, Busy
from app.modalities.embedding import EmbedItem
from app.modalities.text.items import FillMaskItem
from app.serving.engine import Engine
from app.serving.runner import Runner
from app.types import Task
from tests.fakes.loader import WAIT
from tests.fakes.objective import FakeObjective

CALLERS = 200


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def call(engine: Engine, rng: random.Random) -> str:
    lengths = [rng.randint(1, 40) for _ in range(rng.randint(1, 20))]
    await turns(rng.randint(0, 20))
    try:
        if rng.random() < 0.5:
            results = await engine.submit(Task.EMBED, [EmbedItem("w " * n) for n in lengths])
        else:
            results = await engine.submit(Task.FILL_MASK, [FillMaskItem("w " * (n - 1) + "[MASK]") for n in lengths])
    except Busy:
        return "busy"
    except AppError:
        return "failed"
    assert [result.tokens for result in results] == lengths
    return "answered"


async def leave(task: asyncio.Task[str], rng: random.Random) -> None:
    await turns(rng.randint(0, 200))
    task.cancel()


@pytest.mark.parametrize("seed", range(3))
def test_every_permit_returns_whatever_callers_and_models_do(
    make_runner: Callable[..., Runner], make_engine: Callable[[Runner, FakeObjective], Engine], seed: int
):
    """Callers of two models, a quarter of whom leave at a random moment; errors, full memory and a dead thread."""
    rng = random.Random(seed)
    runner = make_runner(max_batch_tokens=512, max_queued_inputs=1500, wait=lambda seconds: False)
    fakes = [FakeObjective(), FakeObjective()]
    fakes[0].memory = 256
    fakes[1].errors.extend([ValueError(), torch.OutOfMemoryError("out of memory"), SystemExit(), ValueError()])
    engines = [make_engine(runner, fake) for fake in fakes]

    async def main() -> Counter[str]:
        tasks = [asyncio.create_task(call(rng.choice(engines), rng)) for _ in range(CALLERS)]
        leavers = [asyncio.create_task(leave(task, rng)) for task in tasks if rng.random() < 0.25]
        await asyncio.wait(tasks)
        await asyncio.gather(*leavers)
        for engine in engines:
            await engine.wait_until_idle()
            assert len(await engine.submit(Task.EMBED, [EmbedItem("still here")])) == 1
        return Counter("left" if task.cancelled() else task.result() for task in tasks)

    outcomes = asyncio.run(asyncio.wait_for(main(), WAIT))
    assert outcomes.total() == CALLERS
    assert outcomes.keys() >= {"answered", "failed", "left"}
    assert runner.restarts == 1
    runner.stop()
    assert (runner.batcher.in_use, runner.batcher.waiting) == (0, 0)
