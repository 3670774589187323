"""A model loader for the pool, and what its tests share."""

import asyncio
import threading
import weakref
from pathlib import Path

from tests.fakes.objective import FakeObjective

WAIT = 120.0  # seconds until a test that waits in vain fails; a busy machine takes ten times as long


class Loader:
    """Counts loads, keeps what it loaded findable, and blocks or fails as told."""

    def __init__(self) -> None:
        self.loads: list[str] = []
        self.made: list[weakref.ref[FakeObjective]] = []
        self.error: Exception | None = None
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Semaphore(0)

    def __call__(self, folder: Path) -> FakeObjective:
        self.loads.append(f"{folder.parent.name}@{folder.name}")
        self.entered.release()
        assert self.gate.wait(WAIT)
        if self.error is not None:
            raise self.error
        objective = FakeObjective()
        self.made.append(weakref.ref(objective))
        return objective


async def occurs(semaphore: threading.Semaphore) -> None:
    assert await asyncio.to_thread(semaphore.acquire, timeout=WAIT)
