import asyncio
import functools
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from app.access.guard import MARKER, MAX_AGE, KeyGuard
from app.access.key_store import KeySnapshot, KeyStore
from app.access.keys import KeyLimits
from app.errors import NotReady, Unauthorized
from app.jobs.connection import Client, StorageError
from tests.fakes.clock import Clock


class Unreachable(KeyStore):
    """A store that can lose its Redis."""

    away = False

    def read(self, known: int) -> KeySnapshot | None:
        if self.away:
            raise StorageError("Redis does not answer")
        return super().read(known)


@pytest.fixture
def store(redis: Client) -> Unreachable:
    return Unreachable(redis)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def in_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Runs a test as a coroutine."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        asyncio.run(test(*args, **kwargs))

    return run


async def refused(guard: KeyGuard, secret: str, error: type[Exception] = Unauthorized) -> bool:
    try:
        await guard.authenticate(secret.encode())
    except error:
        return True
    return False


def test_limits_of_a_key_replace_the_defaults() -> None:
    defaults = KeyLimits(jobs=100, storage_bytes=5_000, concurrency=0)

    assert KeyLimits(jobs=0).over(defaults) == KeyLimits(jobs=0, storage_bytes=5_000, concurrency=0)
    assert defaults.describe() == "5,000 bytes of files, 100 jobs that have not ended"
    assert KeyLimits().describe() == "no limits"


@in_loop
async def test_a_server_without_keys_is_open_until_the_first_one(store: Unreachable, tmp_path: Path) -> None:
    guard = KeyGuard((), store, var_dir=tmp_path)
    await guard.refresh()
    assert guard.is_open
    _, secret = store.create("ops", ["admin"], limits=KeyLimits(jobs=1))

    await guard.refresh()

    assert not guard.is_open
    caller = await guard.authenticate(secret.encode())
    assert (caller.name, caller.is_admin, caller.limits.jobs) == ("ops", True, 1)


@in_loop
async def test_a_server_stays_closed_when_redis_is_lost(redis: Client, store: Unreachable, tmp_path: Path) -> None:
    _, secret = store.create("ops", ["admin"])
    guard = KeyGuard((), store, var_dir=tmp_path)
    await guard.refresh()
    redis.flushall()

    restarted = KeyGuard((), store, var_dir=tmp_path)
    for each in (guard, restarted):
        await each.refresh()
        assert not each.is_open
        assert await refused(each, secret)
    (tmp_path / MARKER).unlink()
    assert KeyGuard((), store, var_dir=tmp_path).is_open
    assert not KeyGuard((), store, required=True, var_dir=tmp_path).is_open


@in_loop
async def test_named_keys_are_refused_and_the_operators_work_while_redis_is_away(
    store: Unreachable, clock: Clock
) -> None:
    _, secret = store.create("ops", ["admin"])
    guard = KeyGuard(("operator-key",), store, clock=clock)
    await guard.refresh()
    store.away = True

    clock.now += MAX_AGE
    assert not await refused(guard, secret)
    clock.now += 0.1

    assert await refused(guard, secret, NotReady)
    assert (await guard.authenticate(b"operator-key")).is_admin
    store.away = False
    assert not await refused(guard, secret)  # it reads the keys itself


@in_loop
async def test_revoked_and_expired_keys_are_refused(store: Unreachable, clock: Clock) -> None:
    store.create("ops", ["admin"])
    revoked, first = store.create("revoked", ["predict"])
    now = revoked.created_at
    _, second = store.create("brief", ["predict"], expires_at=now + 60)
    guard = KeyGuard((), store, clock=clock)
    await guard.refresh()
    callers = [await guard.authenticate(secret.encode()) for secret in (first, second)]

    store.revoke(revoked.id)
    clock.now += MAX_AGE + 0.1

    assert await refused(guard, first)
    assert [guard.is_valid(caller) for caller in callers] == [False, True]
    clock.now += 61
    assert await refused(guard, second)
    assert not guard.is_valid(callers[1])


@pytest.mark.parametrize("secret", ["", "cloze_", "cloze_wrong", "operator-ke", "operator-key2", "cloze_\xe9"])
@in_loop
async def test_other_secrets_are_refused(store: Unreachable, secret: str) -> None:
    store.create("ops", ["admin"])
    guard = KeyGuard(("operator-key", "schlüssel"), store)
    await guard.refresh()

    assert await refused(guard, secret)
    assert (await guard.authenticate("schlüssel".encode())).owner is None


@in_loop
async def test_the_last_use_is_written_once_a_minute(store: Unreachable, clock: Clock) -> None:
    key, secret = store.create("ops", ["admin"])
    guard = KeyGuard((), store, clock=clock)
    await guard.refresh()
    written = []
    for _ in range(3):
        await guard.authenticate(secret.encode())
        await guard.refresh()
        written.append(store.get(key.id).last_used_at)
    clock.now += 61
    await guard.authenticate(secret.encode())
    await guard.refresh()

    assert written[0] is not None
    assert written == written[:1] * 3
    assert store.get(key.id).last_used_at != written[0]
