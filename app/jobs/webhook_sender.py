"""Makes the deliveries of the outbox, beside whatever else its event loop does.

Every server runs one. A delivery is leased to one of them at a time, and made at least once.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Sequence
from http import HTTPStatus

import httpx

from app.jobs.connection import StorageError, connect_async
from app.jobs.indexes import job_key
from app.jobs.kinds import Webhook
from app.jobs.spec import Job
from app.jobs.webhooks import OUTBOX, Delivery, deliveries_key, sign_delivery
from app.system.addresses import DEFAULT_PORTS, PrivateAddress, resolve_public

# After the first, the pauses between attempts; Standard Webhooks asks for a schedule of this kind.
RETRY_SECONDS = (5, 30, 300, 1800, 7200, 18_000, 36_000)
_TIMEOUT = 15.0  # seconds until an attempt has failed
_LEASE = 60.0  # seconds after which another server takes over what this one began
_AT_ONCE = 16
_POLL = 1.0  # seconds
_MAX_ERROR = 300  # characters

# Takes what is due, by the clock that wrote when: KEYS[1] the outbox, ARGV lease and count.
_TAKE = """
local time = redis.call('TIME')
local now = time[1] + time[2] / 1e6
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[2])
for _, member in ipairs(due) do redis.call('ZADD', KEYS[1], now + ARGV[1], member) end
return due
"""

_log = logging.getLogger(__name__)


class WebhookSender:
    """`start` and `stop` it in the event loop that it is to use.

    operator: what jobs without a webhook of their own tell; its address is not checked.
    allow_private: whether users' own may lead into the network that this server is in.
    """

    def __init__(
        self,
        url: str,
        operator: Webhook | None = None,
        *,
        allow_private: bool = False,
        retry_seconds: Sequence[float] = RETRY_SECONDS,
        poll: float = _POLL,
    ) -> None:
        self._redis = connect_async(url)
        self._take = self._redis.register_script(_TAKE)
        self._operator = operator
        self._allow_private = allow_private
        self._retry_seconds = retry_seconds
        self._poll = poll
        self._http: httpx.AsyncClient | None = None
        self._loop: asyncio.Task[None] | None = None
        self._running: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()

    async def start(self) -> None:
        self._stopping.clear()
        self._http = httpx.AsyncClient(timeout=_TIMEOUT)
        self._loop = asyncio.create_task(self._work())

    async def stop(self) -> None:
        """Stops sending. Deliveries under way are dropped, and the next server makes them again."""
        self._stopping.set()
        if self._loop is not None:
            await self._loop  # not cancelled: what it is taking would wait for the end of its lease
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        if self._http is not None:
            await self._http.aclose()
        await self._redis.aclose()

    async def _work(self) -> None:
        while not self._stopping.is_set():
            try:
                if room := _AT_ONCE - len(self._running):
                    for member in await self._take(keys=[OUTBOX], args=[_LEASE, room]):
                        task = asyncio.create_task(self._deliver(member.decode()))
                        self._running.add(task)
                        task.add_done_callback(self._running.discard)
            except StorageError as e:
                _log.warning("webhooks are not sent: %s", e)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), self._poll)

    async def _deliver(self, member: str) -> None:
        job_id, identifier = member.split()
        try:
            raw = await self._redis.hget(deliveries_key(job_id), identifier)
            job = await self._redis.get(job_key(job_id))
            if raw is None or job is None:  # the job was deleted
                await self._redis.zrem(OUTBOX, member)
                return
            before = Delivery.model_validate_json(raw)
            after = await self._attempt(before, Job.model_validate_json(job).spec.webhook)
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.hset(deliveries_key(job_id), identifier, after.model_dump_json())
                if after.next_attempt_at is None:
                    pipe.zrem(OUTBOX, member)
                else:
                    pipe.zadd(OUTBOX, {member: after.next_attempt_at})
                await pipe.execute()
        except StorageError as e:
            _log.warning("the result of webhook %s could not be recorded, so it is sent again: %s", identifier, e)

    async def _attempt(self, delivery: Delivery, webhook: Webhook | None) -> Delivery:
        """The delivery as it stands after one more attempt."""
        status, error = None, None
        is_operators = webhook is None or webhook.url is None
        target = self._operator if is_operators else webhook
        if target is None or target.url is None or target.secret is None:
            error, retry = "the operator's webhook is no longer set", False
        else:
            try:
                status = await self._post(target.url, target.secret, delivery, trusted=is_operators)
                error = None if status < HTTPStatus.MULTIPLE_CHOICES else f"the receiver answered {status}"
                retry = error is not None and status != HTTPStatus.GONE
            except PrivateAddress as e:
                error, retry = str(e), False
            except (OSError, ValueError, httpx.HTTPError, httpx.InvalidURL) as e:
                error, retry = f"{type(e).__name__}: {e}", True
        number = delivery.attempts + 1
        again = retry and number <= len(self._retry_seconds)
        now = time.time()
        return delivery.model_copy(
            update={
                "attempts": number,
                "status": "delivered" if error is None else "pending" if again else "failed",
                "last_attempt_at": now,
                "next_attempt_at": now + self._retry_seconds[number - 1] if again else None,
                "response_status": status,
                "error": error[:_MAX_ERROR] if error else None,
            }
        )

    async def _post(self, address: str, secret: str, delivery: Delivery, *, trusted: bool) -> int:
        """The status of the answer, whose body is not read and whose redirection is not followed.

        Connects to the very address that was checked: DNS could answer otherwise a second time.
        """
        assert self._http is not None
        url = httpx.URL(address)
        headers = sign_delivery(secret, delivery.id, int(time.time()), delivery.body)
        headers |= {"content-type": "application/json", "user-agent": "cloze", "host": url.netloc.decode()}
        extensions = {}
        async with asyncio.timeout(_TIMEOUT):
            if not (trusted or self._allow_private):
                extensions = {"sni_hostname": url.host}  # the certificate is the host's, not the address's
                port = url.port or DEFAULT_PORTS[url.scheme]
                addresses = await asyncio.to_thread(resolve_public, url.host, port)
                url = url.copy_with(host=str(addresses[0]))
            async with self._http.stream(
                "POST", url, content=delivery.body.encode(), headers=headers, extensions=extensions
            ) as answer:
                return answer.status_code
