"""Limits of keys on requests, which all servers of a Redis share: requests in a minute, and requests at once.

Keys in Redis: `cloze:limit:<key>:requests` the requests of the current minute, which begins with the first one;
`cloze:limit:<key>:leases` the requests in progress by the time at which their leases expire.
"""

import asyncio
import contextlib
import secrets
from collections.abc import Coroutine
from dataclasses import dataclass

from app.access.keys import Caller
from app.errors import NotReady, RateLimited
from app.jobs.connection import Client, StorageError, connect_async

WINDOW = 60  # seconds
LEASE = 60  # seconds after which the requests of a killed server do not count any more

_RENEWAL = LEASE / 3
_TIMEOUT = 2.0  # seconds of one call

# Counts a request and takes a lease in one step. Returns whether the request is admitted (1), beyond the limit of the
# minute (0) or beyond the limit of requests at once (-1); the requests of this minute; and the seconds it has left.
_ADMIT = """
local rate, at_once, lease = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[4])
local used, left = 0, 0
if rate > 0 then
  used = redis.call("INCR", KEYS[1])
  left = redis.call("TTL", KEYS[1])
  if left < 0 then
    left = tonumber(ARGV[5])
    redis.call("EXPIRE", KEYS[1], left)
  end
  if used > rate then return {0, used, left} end
end
if at_once > 0 then
  local time = redis.call("TIME")
  local now = time[1] + time[2] / 1000000
  redis.call("ZREMRANGEBYSCORE", KEYS[2], "-inf", now)
  if redis.call("ZCARD", KEYS[2]) >= at_once then return {-1, used, left} end
  redis.call("ZADD", KEYS[2], now + lease, ARGV[3])
  redis.call("EXPIRE", KEYS[2], lease)
end
return {1, used, left}
"""
# Extends leases that have not expired.
_RENEW = """
local time = redis.call("TIME")
local now = time[1] + time[2] / 1000000
redis.call("ZADD", KEYS[1], "XX", now + ARGV[2], ARGV[1])
redis.call("EXPIRE", KEYS[1], ARGV[2])
"""


@dataclass(frozen=True)
class Admission:
    """The answer to a request for admission.

    refusal: the error of a request that is refused. limit: of requests in a minute; 0: none. remaining: requests
    that the minute still admits. reset: seconds until the next minute begins. lease: to be released at the end.
    """

    refusal: RateLimited | None = None
    limit: int = 0
    remaining: int = 0
    reset: int = 0
    lease: str | None = None


class KeyLimiter:
    """Admits requests of keys that have limits, with one call of Redis each. url: of Redis."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._redis: Client = None
        self._held: dict[str, str] = {}  # leases of requests in progress → the key in Redis
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        self._redis = connect_async(self._url)
        self._keep(self._renew_regularly())

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._redis is not None:
            await self._redis.aclose()

    async def admit(self, caller: Caller) -> Admission:
        """Counts a request of a caller. Raises NotReady while Redis does not answer."""
        rate, at_once = caller.limits.requests_per_minute or 0, caller.limits.concurrency or 0
        if caller.owner is None or not (rate or at_once):
            return Admission()
        lease = secrets.token_hex(8)
        keys = [requests_key(caller.owner), leases_key(caller.owner)]
        try:
            async with asyncio.timeout(_TIMEOUT):
                admitted, used, left = await self._redis.eval(_ADMIT, 2, *keys, rate, at_once, lease, LEASE, WINDOW)
        except (StorageError, TimeoutError, OSError) as error:
            raise NotReady("the limits of the API key cannot be checked: Redis does not answer") from error
        if admitted == 1 and at_once:
            self._held[lease] = keys[1]
        remaining = max(rate - used, 0)
        refusal = _refusal(admitted, rate, at_once, left)
        return Admission(refusal, rate, remaining, left, lease if admitted == 1 and at_once else None)

    def release(self, admission: Admission) -> None:
        """Ends a request. Does not wait for Redis: a lease that is not deleted expires."""
        if admission.lease is not None and (key := self._held.pop(admission.lease, None)) is not None:
            self._keep(self._delete(key, admission.lease))

    async def renew(self) -> None:
        """Extends the leases of all requests in progress."""
        for lease, key in list(self._held.items()):
            await self._redis.eval(_RENEW, 1, key, lease, LEASE)

    async def _renew_regularly(self) -> None:
        while True:
            await asyncio.sleep(_RENEWAL)
            with contextlib.suppress(StorageError, OSError):
                await self.renew()

    async def _delete(self, key: str, lease: str) -> None:
        with contextlib.suppress(StorageError, OSError):
            await self._redis.zrem(key, lease)

    def _keep(self, work: Coroutine[None, None, None]) -> None:
        """Runs a task, and keeps a reference until it has ended."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def requests_key(owner: str) -> str:
    return f"cloze:limit:{owner}:requests"


def leases_key(owner: str) -> str:
    return f"cloze:limit:{owner}:leases"


def _refusal(admitted: int, rate: int, at_once: int, left: int) -> RateLimited | None:
    if admitted == 0:
        return RateLimited(f"this API key may send {rate} requests in a minute", retry_after=max(left, 1))
    if admitted < 0:
        return RateLimited(f"this API key may have {at_once} requests in progress at once")
    return None
