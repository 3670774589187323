"""A cache of answers in a Redis, which the servers of a service share.

Its bytes are bounded by an index of Cloze's own, because a Redis has no bound by default. The index orders the answers
by their last use. Each entry holds the size of its answer, so that the sum stays right for answers that Redis has
dropped by itself.
"""

import asyncio
import hashlib
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, TypeVar

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from app.inference.answer_cache import CacheSize

PREFIX = b"cloze:answers:"
INDEX, TOTAL = PREFIX + b"index", PREFIX + b"bytes"
_OVERHEAD = 300  # bytes of Redis's memory that an answer takes beside its own: its key, and its entry of the index
_AT_ONCE = 256  # answers of one command, during which Redis does nothing else
_CONNECTIONS = 16
_TIMEOUT = 0.5  # seconds of all commands of a call
_PAUSE = 5.0  # seconds without a call after one has failed
_CHECKSUM = 16  # bytes

# KEYS: the index, the answers. ARGV: seconds that they are kept, overhead.
_READ = """
local at = redis.call('TIME')
local values = redis.call('MGET', unpack(KEYS, 2))
for i, value in ipairs(values) do
  if value then
    redis.call('ZADD', KEYS[1], 'XX', at[1] * 1e6 + at[2], KEYS[i + 1] .. '/' .. (#value + ARGV[2]))
    redis.call('EXPIRE', KEYS[i + 1], ARGV[1])
  end
end
return values
"""

# KEYS: the index, the sum, the answers. ARGV: seconds that they are kept, overhead, the bound, the values.
# Returns the sum and the number of answers.
_WRITE = """
local at = redis.call('TIME')
local total = tonumber(redis.call('GET', KEYS[2]) or 0)
for i = 3, #KEYS do
  local value = ARGV[i + 1]
  local size = #value + ARGV[2]
  redis.call('SET', KEYS[i], value, 'EX', ARGV[1])
  total = total + size * redis.call('ZADD', KEYS[1], at[1] * 1e6 + at[2], KEYS[i] .. '/' .. string.format('%d', size))
end
while total > tonumber(ARGV[3]) do
  local oldest = redis.call('ZPOPMIN', KEYS[1])
  if #oldest == 0 then total = 0 break end
  local key, size = string.match(oldest[1], '^(.*)/(%d+)$')
  redis.call('DEL', key)
  total = total - size
end
redis.call('SET', KEYS[2], string.format('%d', total))
return {total, redis.call('ZCARD', KEYS[1])}
"""

T = TypeVar("T")

_log = logging.getLogger(__name__)


class RedisCache:
    """max_bytes: of all answers. seconds: after its last use, an answer is dropped. clock: seconds, ever rising.

    A Redis that fails, or is slow, is not asked again for some seconds. All methods belong to one event loop.
    """

    def __init__(self, url: str, *, max_bytes: int, seconds: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._max_bytes, self._seconds, self._clock = max_bytes, seconds, clock
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=_CONNECTIONS,
            timeout=_TIMEOUT,
            socket_timeout=_TIMEOUT,
            socket_connect_timeout=_TIMEOUT,
            retry=Retry(NoBackoff(), 0),
        )
        self._redis: Any = Redis.from_pool(pool)
        self._read = self._redis.register_script(_READ)
        self._write = self._redis.register_script(_WRITE)
        self._paused_until = -float("inf")
        self.size = CacheSize()
        self.failures = 0

    async def read(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """An answer that is not as it was written under its key is left out."""
        found: dict[bytes, bytes] = {}

        async def work() -> None:
            for part in _batches(keys):
                values = await self._read([INDEX, *map(_name, part)], [self._seconds, _OVERHEAD])
                for key, value in zip(part, values, strict=True):
                    if value is not None and (result := value[_CHECKSUM:]) and value == _sealed(key, result):
                        found[key] = result

        await self._attempt(work)
        return found

    async def write(self, results: Mapping[bytes, bytes]) -> None:
        async def work() -> None:
            for part in _batches(results.items()):
                names = [_name(key) for key, _ in part]
                values = [_sealed(key, result) for key, result in part]
                limits = [self._seconds, _OVERHEAD, self._max_bytes]
                total, count = await self._write([INDEX, TOTAL, *names], [*limits, *values])
                self.size = CacheSize(count, total)

        await self._attempt(work)

    async def close(self) -> None:
        await self._redis.aclose()

    async def _attempt(self, work: Callable[[], Awaitable[None]]) -> None:
        """Runs the commands of a call, unless Redis has just failed."""
        if self._clock() < self._paused_until:
            return
        try:
            async with asyncio.timeout(_TIMEOUT):
                await work()
        except (RedisError, OSError, TimeoutError) as error:
            self.failures += 1
            self._paused_until = self._clock() + _PAUSE
            _log.warning("the cache of answers does not answer, so all is computed for %.0f s: %s", _PAUSE, error)


def _batches(values: Iterable[T]) -> Iterator[list[T]]:
    rest = iter(values)
    while part := list(islice(rest, _AT_ONCE)):
        yield part


def _name(key: bytes) -> bytes:
    return PREFIX + key.hex().encode()


def _sealed(key: bytes, result: bytes) -> bytes:
    """Returns the result behind a checksum of it and its key."""
    return hashlib.blake2b(result, key=key, digest_size=_CHECKSUM).digest() + result
