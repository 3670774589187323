import asyncio

import pytest

from app.access.keys import Caller, KeyLimits
from app.access.limiter import LEASE, WINDOW, Admission, KeyLimiter, leases_key, requests_key
from app.errors import NotReady
from app.jobs.connection import Client, EmbeddedRedis

CALLER = Caller("client", frozenset({"predict"}), "key-1", KeyLimits(requests_per_minute=3, concurrency=2))
LEASES = leases_key("key-1")


def admit(url: str, count: int, *, caller: Caller = CALLER, servers: int = 1, release: bool = False) -> list[Admission]:
    """Sends requests through several servers in turn, and stops these as if they were killed."""

    async def run() -> list[Admission]:
        limiters = [KeyLimiter(url) for _ in range(servers)]
        for limiter in limiters:
            await limiter.start()
        found = []
        for number in range(count):
            limiter = limiters[number % servers]
            found.append(await limiter.admit(caller))
            if release:
                limiter.release(found[-1])
                await asyncio.sleep(0)
        for limiter in limiters:
            await limiter.renew()
            await limiter.stop()
        return found

    return asyncio.run(run())


def test_servers_share_the_requests_of_a_minute(redis: Client, redis_server: EmbeddedRedis) -> None:
    caller = Caller("client", frozenset(), "key-1", KeyLimits(requests_per_minute=3))
    found = admit(redis_server.url, 5, caller=caller, servers=2)

    assert [each.remaining for each in found] == [2, 1, 0, 0, 0]
    assert [each.refusal is None for each in found] == [True, True, True, False, False]
    refusal = found[-1].refusal
    assert refusal is not None and "3 requests in a minute" in refusal.message
    assert 1 <= refusal.retry_after <= WINDOW
    assert redis.ttl(requests_key("key-1")) <= WINDOW


def test_leases_of_a_killed_server_expire(redis: Client, redis_server: EmbeddedRedis) -> None:
    found = admit(redis_server.url, 3)

    assert [each.refusal is None for each in found] == [True, True, False]
    assert redis.zcard(LEASES) == 2
    assert 0 < redis.ttl(LEASES) <= LEASE
    for lease in redis.zrange(LEASES, 0, -1):
        redis.zadd(LEASES, {lease: 1.0})  # as if the time had passed
    redis.delete(requests_key("key-1"))

    assert admit(redis_server.url, 1)[0].refusal is None
    assert redis.zcard(LEASES) == 1


def test_callers_without_limits_cost_nothing() -> None:
    for caller in (Caller("operator", frozenset()), Caller("client", frozenset(), "key-1", KeyLimits())):
        assert asyncio.run(KeyLimiter("redis://127.0.0.1:1/0").admit(caller)) == Admission()


def test_a_limit_that_cannot_be_checked_refuses() -> None:
    with pytest.raises(NotReady):
        admit("redis://127.0.0.1:1/0", 1)
