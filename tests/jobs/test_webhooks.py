"""Webhooks against a receiver that really listens, and fails as receivers do."""

import asyncio
import base64
import hmac
import http.server
import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from app.jobs.connection import Client, EmbeddedRedis
from app.jobs.indexes import job_key
from app.jobs.kinds import JobState, Webhook
from app.jobs.webhook_sender import WebhookSender
from app.jobs.webhooks import OUTBOX, Delivery, Webhooks, signing_key
from app.jobs.worker_queue import Claim
from tests.fakes.jobs import JobSystem, make_spec

SECRET = "whsec_" + "c2VjcmV0" * 4  # 24 bytes
PATIENCE = 30.0  # seconds


class Receiver:
    """Answers with the given statuses in turn, then 200; keeps what it got."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.got: list[tuple[dict[str, str], bytes]] = []
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.got.append(({k.lower(): v for k, v in self.headers.items()}, body))
                self.send_response(receiver.statuses.pop(0) if receiver.statuses else 200)
                self.send_header("location", "/elsewhere")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                """Nothing: the test reads what was got."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook?a=b"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def receive() -> Iterator[Callable[..., Receiver]]:
    started: list[Receiver] = []

    def start(*statuses: int) -> Receiver:
        started.append(Receiver(*statuses))
        return started[-1]

    yield start
    for receiver in started:
        receiver.stop()


def claimed(redis: Client, webhook: Webhook) -> tuple[JobSystem, Claim]:
    jobs = JobSystem(redis)
    jobs.create(make_spec(redis, webhook=webhook))
    claim = jobs.queue.claim("w1", 60)
    assert claim
    return jobs, claim


def deliver(redis: Client, url: str, job_id: str, **options: Any) -> dict[str, Delivery]:
    """Runs a sender until nothing is left to do; the deliveries by type."""

    async def run() -> None:
        sender = WebhookSender(url, poll=0.01, **{"retry_seconds": (0.0, 0.0, 0.0), **options})
        await sender.start()
        while redis.zcard(OUTBOX):
            await asyncio.sleep(0.01)
        await sender.stop()

    asyncio.run(asyncio.wait_for(run(), PATIENCE))
    return {d.type.rpartition(".")[2]: d for d in Webhooks(redis).deliveries(job_id)}


def test_every_change_of_state_is_told_and_a_failing_receiver_is_tried_again(
    redis: Client, redis_server: EmbeddedRedis, receive: Callable[..., Receiver]
) -> None:
    receiver = receive(500, 503)
    jobs, claim = claimed(redis, Webhook(url=receiver.url, secret=SECRET, events=(JobState.SUCCEEDED,)))
    jobs.queue.succeed(claim, "tiny@1")
    told = deliver(redis, redis_server.url, claim.job_id, allow_private=True)
    assert list(told) == ["succeeded"]
    assert (told["succeeded"].status, told["succeeded"].attempts, told["succeeded"].response_status) == (
        "delivered",
        3,
        200,
    )
    assert len(receiver.got) == 3
    assert len({headers["webhook-id"] for headers, _ in receiver.got}) == 1
    headers, body = receiver.got[-1]
    assert headers["host"] == receiver.url.split("/")[2]
    assert json.loads(body)["data"]["fine_tuned_model"] == "tiny@1"
    assert json.loads(body)["type"] == "fine_tuning.job.succeeded"
    assert json.loads(body)["data"]["id"] == claim.job_id
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    signature = base64.b64encode(hmac.digest(base64.b64decode("c2VjcmV0" * 4), signed, "sha256")).decode()
    assert headers["webhook-signature"] == f"v1,{signature}"


def test_all_states_are_told_where_none_is_chosen(
    redis: Client, redis_server: EmbeddedRedis, receive: Callable[..., Receiver]
) -> None:
    receiver = receive()
    jobs, claim = claimed(redis, Webhook())
    jobs.cancel(claim.job_id)
    jobs.queue.mark_cancelled(claim)
    operator = Webhook(url=receiver.url, secret=SECRET)
    told = deliver(redis, redis_server.url, claim.job_id, operator=operator)
    assert set(told) == {"queued", "running", "cancelling", "cancelled"}
    assert {d.status for d in told.values()} == {"delivered"}
    assert receiver.url not in str(redis.get(job_key(claim.job_id)))


@pytest.mark.parametrize(("status", "attempts"), [(410, 1), (302, 4), (400, 4)])
def test_what_is_never_delivered_fails(
    redis: Client, redis_server: EmbeddedRedis, receive: Callable[..., Receiver], status: int, attempts: int
) -> None:
    receiver = receive(*[status] * 9)
    _, claim = claimed(redis, Webhook(url=receiver.url, secret=SECRET, events=(JobState.RUNNING,)))
    told = deliver(redis, redis_server.url, claim.job_id, allow_private=True)["running"]
    assert (told.status, told.attempts, told.error) == ("failed", attempts, f"the receiver answered {status}")
    assert len(receiver.got) == attempts  # a redirection is not followed


def test_a_private_address_is_refused_unless_the_operator_allows_it(
    redis: Client, redis_server: EmbeddedRedis, receive: Callable[..., Receiver]
) -> None:
    receiver = receive()
    url = receiver.url.replace("127.0.0.1", "localhost")  # by a name, which only DNS betrays
    _, claim = claimed(redis, Webhook(url=url, secret=SECRET, events=(JobState.RUNNING,)))
    told = deliver(redis, redis_server.url, claim.job_id)["running"]
    assert (told.status, told.attempts, told.error) == ("failed", 1, "localhost leads to a private address")
    assert receiver.got == []


def test_what_nobody_answers_is_an_error_that_is_tried_again(redis: Client, redis_server: EmbeddedRedis) -> None:
    _, claim = claimed(redis, Webhook(url="http://127.0.0.1:1/", secret=SECRET, events=(JobState.RUNNING,)))
    told = deliver(redis, redis_server.url, claim.job_id, allow_private=True, retry_seconds=(0.0,))["running"]
    assert (told.status, told.attempts, told.response_status) == ("failed", 2, None)
    assert told.error and told.error.startswith("ConnectError")


def test_a_pause_lies_between_attempts_and_is_seen(
    redis: Client, redis_server: EmbeddedRedis, receive: Callable[..., Receiver]
) -> None:
    receiver = receive(500)
    _, claim = claimed(redis, Webhook(url=receiver.url, secret=SECRET, events=(JobState.RUNNING,)))

    async def run() -> None:
        sender = WebhookSender(redis_server.url, poll=0.01, allow_private=True, retry_seconds=(3600.0,))
        await sender.start()
        while Webhooks(redis).deliveries(claim.job_id)[0].attempts == 0:
            await asyncio.sleep(0.01)
        await sender.stop()

    asyncio.run(asyncio.wait_for(run(), PATIENCE))
    [told] = Webhooks(redis).deliveries(claim.job_id)
    assert told.status == "pending" and told.next_attempt_at
    assert told.next_attempt_at == pytest.approx(time.time() + 3600, abs=60)
    assert redis.zscore(OUTBOX, f"{claim.job_id} {told.id}") == pytest.approx(told.next_attempt_at)


def test_two_servers_send_it_once(redis: Client, redis_server: EmbeddedRedis, receive: Callable[..., Receiver]) -> None:
    receiver = receive()
    jobs, claim = claimed(redis, Webhook(url=receiver.url, secret=SECRET))
    jobs.queue.succeed(claim, "tiny@1")

    async def run() -> None:
        senders = [WebhookSender(redis_server.url, poll=0.001, allow_private=True) for _ in range(4)]
        for sender in senders:
            await sender.start()
        while redis.zcard(OUTBOX):
            await asyncio.sleep(0.01)
        for sender in senders:
            await sender.stop()

    asyncio.run(asyncio.wait_for(run(), PATIENCE))
    sent = [headers["webhook-id"] for headers, _ in receiver.got]
    assert len(sent) == len(set(sent)) == 3


def test_the_webhooks_of_a_deleted_job_are_dropped(redis: Client, redis_server: EmbeddedRedis) -> None:
    jobs, claim = claimed(redis, Webhook(url="http://127.0.0.1:1/", secret=SECRET))
    jobs.queue.succeed(claim, "tiny@1")
    jobs.delete(claim.job_id)
    assert deliver(redis, redis_server.url, claim.job_id) == {}


@pytest.mark.parametrize(
    "secret", ["", "whsec_", "whsec_short", "c2VjcmV0" * 4, "whsec_" + "?" * 32, "whsec_" + "A" * 92]
)
def test_bad_secrets(secret: str) -> None:
    with pytest.raises(ValueError, match="24 to 64 random bytes"):
        signing_key(secret)
