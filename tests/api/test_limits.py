"""Limits of bodies and admission, by hand-made messages: nothing waits for a real client."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from fastapi.testclient import TestClient
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Message, Receive, Scope, Send

from app.api.middleware.admission import AdmissionMiddleware
from app.api.middleware.body_limit import BodyLimitMiddleware, BodyLimits
from app.errors import AppError, Busy

FREE = 64 * 1024
LINES = "application/x-lines"


class Exchange:
    """One request to a middleware: its body goes in by `send`, its answer is `result`."""

    def __init__(self, app: Any, path: str = "/", headers: dict[str, str] | None = None) -> None:
        self._messages: asyncio.Queue[Message] = asyncio.Queue()
        self.read = 0  # messages that the application took
        self.sent: list[Message] = []
        encoded = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
        self._scope: Scope = {"type": "http", "method": "POST", "path": path, "headers": encoded}
        self._task = asyncio.create_task(app(self._scope, self._receive, self._send))

    async def _receive(self) -> Message:
        message = await self._messages.get()
        self.read += 1
        return message

    async def _send(self, message: Message) -> None:
        self.sent.append(message)

    async def send(self, body: bytes, *, more: bool = True) -> None:
        self._messages.put_nowait({"type": "http.request", "body": body, "more_body": more})
        while not self._messages.empty() and not self._task.done():
            await asyncio.sleep(0)
        await asyncio.sleep(0)

    async def status(self) -> int:
        await self._task
        return int(self.sent[0]["status"])


async def read_all(scope: Scope, receive: Receive, send: Send) -> None:
    """Reads the body, as routes do, and answers with its length."""
    try:
        response = PlainTextResponse(str(len(await Request(scope, receive).body())))
    except AppError as error:
        response = PlainTextResponse(error.message, error.status)
    await response(scope, receive, send)


@asynccontextmanager
async def unfinished(app: Any, body: bytes, **options: Any) -> AsyncIterator[Exchange]:
    """An exchange whose body goes on after `body`."""
    exchange = Exchange(app, **options)
    await exchange.send(body)
    yield exchange


def limited(app: Any = read_all, *, timeout: float = 60.0) -> BodyLimitMiddleware:
    limits = BodyLimits(
        max_bytes=3 * FREE,
        total_bytes=3 * FREE,
        timeout=timeout,
        by_path={"/files": 100 * FREE},
        streamed=(LINES, {"/lines"}),
    )
    return BodyLimitMiddleware(app, limits)


def test_all_bodies_together_are_bounded() -> None:
    async def run() -> None:
        app = limited()
        async with unfinished(app, bytes(3 * FREE)) as first:  # holds two of the three
            async with unfinished(app, bytes(3 * FREE)) as second:
                assert await second.status() == 429
            for body in (bytes(FREE), bytes(2 * FREE)):  # what is not counted, and what there is room for
                exchange = Exchange(app)
                await exchange.send(body, more=False)
                assert await exchange.status() == 200
            await first.send(b"", more=False)
            assert await first.status() == 200
        again = Exchange(app)  # what has ended holds nothing, whatever its end was
        await again.send(bytes(3 * FREE), more=False)
        assert await again.status() == 200

    asyncio.run(run())


def test_uploads_are_not_counted_together() -> None:
    async def run() -> None:
        app = limited()
        async with unfinished(app, bytes(50 * FREE), path="/files"), unfinished(app, bytes(3 * FREE)) as other:
            await other.send(b"", more=False)
            assert await other.status() == 200

    asyncio.run(run())


def test_a_body_that_stands_still_is_ended() -> None:
    async def run() -> None:
        for body in (b"", b"some", bytes(FREE)):
            async with unfinished(limited(timeout=0.05), body) as exchange:
                assert await exchange.status() == 408

    asyncio.run(run())


def test_a_body_that_trickles_is_ended() -> None:
    async def run() -> None:
        async with unfinished(limited(timeout=0.2), b"x") as exchange:
            while not exchange.sent:
                await exchange.send(b"x")
                await asyncio.sleep(0.01)
            assert await exchange.status() == 408

    asyncio.run(run())


def test_time_that_the_application_takes_is_not_counted() -> None:
    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await asyncio.sleep(0.1)
        await read_all(scope, receive, send)

    async def run() -> None:
        async with unfinished(limited(slow, timeout=0.05), b"x") as exchange:
            await exchange.send(b"y", more=False)
            assert await exchange.status() == 200

    asyncio.run(run())


async def read_until_left(scope: Scope, receive: Receive, send: Send) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    await PlainTextResponse("left", 499)(scope, receive, send)


def test_lines_that_do_not_end_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        app = limited(read_until_left)
        first, second = (Exchange(app, "/lines", {"content-type": LINES}) for _ in range(2))
        await first.send(b"a\n" * 5 * FREE)  # lines that have ended hold nothing
        await first.send(b"a" * 3 * FREE)
        await second.send(b"a" * 3 * FREE)
        assert await second.status() == 499
        assert not first.sent

    asyncio.run(run())
    assert "request bodies in progress use" in caplog.text


def test_a_line_that_stands_still_ends_its_stream(caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        exchange = Exchange(limited(read_until_left, timeout=0.05), "/lines", {"content-type": LINES})
        await exchange.send(b"one\nhalf")
        assert await exchange.status() == 499

    asyncio.run(run())
    assert "came in 0.05 seconds" in caplog.text


def test_between_lines_a_client_may_take_its_time() -> None:
    async def run() -> None:
        ended = asyncio.Event()

        async def stream(scope: Scope, receive: Receive, send: Send) -> None:
            while (await receive()).get("more_body"):
                pass
            ended.set()

        exchange = Exchange(limited(stream, timeout=0.02), "/lines", {"content-type": LINES})
        await exchange.send(b"one\n")
        await asyncio.sleep(0.1)
        assert not ended.is_set()
        await exchange.send(b"two\n", more=False)
        await asyncio.wait_for(ended.wait(), 10)

    asyncio.run(run())


@pytest.mark.parametrize(("encoding", "status"), [("gzip", 415), ("br, gzip", 415), ("identity", 200), ("", 200)])
def test_encoded_bodies_are_refused(make_client: Callable[..., TestClient], encoding: str, status: int) -> None:
    headers = {"content-encoding": encoding}
    answer = make_client().post("/v1/embeddings", json={"input": "a", "model": "full"}, headers=headers)
    assert answer.status_code == status
    if status == 415:
        assert answer.json()["error"]["code"] == "unsupported_media_type"
        assert encoding in answer.json()["error"]["message"]
        assert answer.headers["accept-encoding"] == "identity"


def test_a_full_queue_is_told_before_the_body_is_read() -> None:
    free = 2
    full = Busy("full", retry_after=7)

    def refusal(under_way: int) -> Busy | None:
        return full if under_way >= free else None

    async def run() -> None:
        app = AdmissionMiddleware(read_all, refusal)
        reading = [Exchange(app, "/v1/embeddings") for _ in range(2)]
        await asyncio.sleep(0)
        for path in ("/v1/embeddings", "/v1/fill-mask/", "/v1/score", "/v1/reconstruct", "/models/any"):
            refused = Exchange(app, path)
            assert (await refused.status(), refused.read) == (429, 0)
            assert (b"retry-after", b"7") in refused.sent[0]["headers"]
        for path, headers in (("/v1/models", {}), ("/v1/embeddings", {"content-type": "application/x-ndjson"})):
            other = Exchange(app, path, headers)
            await other.send(b"", more=False)
            assert await other.status() == 200
        for exchange in reading:
            await exchange.send(b"", more=False)
            assert await exchange.status() == 200
        again = Exchange(app, "/v1/embeddings")
        await again.send(b"", more=False)
        assert await again.status() == 200

    asyncio.run(run())


def test_several_hosts_are_refused(client: TestClient) -> None:
    answer = client.get("/health", headers=[("host", "localhost"), ("host", "localhost")])
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_request")
