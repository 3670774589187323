"""Process pools that all applications and runs of a session share: starting a process takes a third of a second."""

from collections.abc import Iterator
from typing import Any

import pytest

from app.system.process_pool import ProcessPool


class SharedPool(ProcessPool):
    """Outlives whoever closes it."""

    def close(self) -> None:
        pass


@pytest.fixture(scope="session")
def _pools() -> Iterator[dict[Any, SharedPool]]:
    pools: dict[Any, SharedPool] = {}
    yield pools
    for pool in pools.values():
        ProcessPool.close(pool)


def _share(pools: dict[Any, SharedPool], where: str) -> Iterator[None]:
    def shared(*of: Any) -> SharedPool:
        if of not in pools:
            pools[of] = SharedPool(*of)
        return pools[of]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(where, shared)
        yield


@pytest.fixture(autouse=True, scope="session")
def servers_share_processes(_pools: dict[Any, SharedPool]) -> Iterator[None]:
    yield from _share(_pools, "app.main.ProcessPool")


@pytest.fixture(autouse=True, scope="session")
def runs_share_processes(_pools: dict[Any, SharedPool]) -> Iterator[None]:
    yield from _share(_pools, "app.training.media.ProcessPool")
