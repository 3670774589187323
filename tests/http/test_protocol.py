"""The limits of a connection, over real sockets."""

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
from starlette.types import Receive, Scope, Send

from app.http.connections import MAX_HEADER_BYTES, MAX_HEADERS, ConnectionLimits
from app.settings import Settings
from tests.fakes.cloze import PATIENCE, wait_until
from tests.fakes.server import serving

SHORT = ConnectionLimits(header_timeout=0.3, keep_alive_timeout=0.3, write_timeout=0.3)


class Echo:
    """Answers with the request's method, path, headers and body as JSON. `/wait` answers when `go` is set."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.started: list[str] = []
        self.disconnected = threading.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            while (await receive())["type"] != "lifespan.shutdown":
                await send({"type": "lifespan.startup.complete"})
            await send({"type": "lifespan.shutdown.complete"})
            return
        self.started.append(scope["path"])
        if scope["path"] == "/early":
            await self._answer(send, b"early")
            return
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.disconnected.set()
                return
            body, more = body + message["body"], message["more_body"]
        if scope["path"] == "/large":
            await self._answer(send, bytes(32 * 2**20))
            return
        if scope["path"] == "/wait":
            watch = asyncio.ensure_future(receive())
            while not self.go.is_set() and not watch.done():
                await asyncio.sleep(0.005)
            if watch.done():
                self.disconnected.set()
            watch.cancel()
        headers = [(name.decode(), value.decode("latin-1")) for name, value in scope["headers"]]
        seen = {"method": scope["method"], "path": scope["path"], "headers": headers, "body": body.decode()}
        await self._answer(send, json.dumps(seen).encode())

    async def _answer(self, send: Send, content: bytes) -> None:
        headers = [(b"content-length", str(len(content)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": content})


class Client:
    """One connection; reads answers that have a Content-Length."""

    def __init__(self, url: str) -> None:
        self.socket = socket.create_connection(("127.0.0.1", urlsplit(url).port or 0), timeout=PATIENCE)
        self._file = self.socket.makefile("rb")

    def close(self) -> None:
        self._file.close()
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def read(self) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of the next answer."""
        status = int(self._file.readline().split()[1])
        headers = {}
        while line := self._file.readline().strip().decode("latin-1"):
            name, _, value = line.partition(": ")
            headers[name] = value
        return status, headers, self._file.read(int(headers["content-length"]))

    def echo(self) -> Any:
        status, _, body = self.read()
        assert status == 200
        return json.loads(body)

    def is_ended(self) -> bool:
        """Whether nothing but the end of the connection is left to read. Waits for it."""
        try:
            return self._file.read() == b""
        except ConnectionResetError:
            return True


def is_closed_to(client: Client) -> bool:
    """Whether the server has closed the connection; sends a byte to it."""
    try:
        client.send(b"x")
        return client.socket.recv(1, socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


@pytest.fixture(scope="module")
def echo() -> Echo:
    return Echo()


@pytest.fixture(scope="module")
def url(echo: Echo) -> Iterator[str]:
    with serving(echo) as url:
        yield url


@contextmanager
def connect(url: str) -> Iterator[Client]:
    with closing(Client(url)) as client:
        yield client


def assert_refused(client: Client, status: int, code: str) -> str:
    """The message of the envelope."""
    found, headers, body = client.read()
    error = json.loads(body)["error"]
    assert (found, error["code"], error["param"]) == (status, code, None)
    assert headers["content-type"] == "application/json"
    assert headers["connection"] == "close"
    assert headers["x-request-id"]
    assert headers["x-error-message"] == error["message"]
    assert client.is_ended()
    return str(error["message"])


def request(path: str = "/", *headers: str, method: str = "GET", body: bytes = b"") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: a", *headers, *([f"Content-Length: {len(body)}"] if body else [])]
    return "\r\n".join([*lines, "", ""]).encode() + body


def test_requests_of_all_shapes_arrive_whole(url: str) -> None:
    body = b"0123456789abcdef" * 40_000
    chunked = b"POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + b"".join(
        b"%x;a=b\r\n%s\r\n" % (len(piece), piece) for piece in (body[:5], body[5:100_000], body[100_000:])
    )
    with connect(url) as client:
        client.send(request("/a", method="POST", body=body) + request("/b"))
        assert client.echo()["body"] == body.decode()
        assert client.echo()["path"] == "/b"
        client.send(chunked + b"0\r\nX-Request-Id: forged\r\n\r\n")
        seen = client.echo()
        assert seen["body"] == body.decode()
        assert dict(seen["headers"]) == {"host": "a", "transfer-encoding": "chunked"}  # without the trailer


def test_large_headers_are_taken_up_to_the_limit(url: str) -> None:
    with connect(url) as client:
        client.send(request("/?" + "q" * 30_000, "A: " + "a" * 30_000))
        assert client.echo()["path"] == "/"
        client.send(request("/", *(f"A{number}: a" for number in range(MAX_HEADERS - 1))))
        assert len(client.echo()["headers"]) == MAX_HEADERS


@pytest.mark.parametrize(
    "flood",
    [
        b"GET / HTTP/1.1\r\nA: " + b"a" * MAX_HEADER_BYTES,
        b"GET / HTTP/1.1\r\n" + b"A: a\r\n" * (MAX_HEADERS + 1),
        b"GET /" + b"a" * MAX_HEADER_BYTES,
        b"\r\n" * MAX_HEADER_BYTES,
    ],
    ids=["value", "headers", "URL", "empty lines"],
)
def test_endless_headers_are_refused(url: str, flood: bytes) -> None:
    with connect(url) as client:
        client.send(flood + b"a" * 4096)
        assert_refused(client, 431, "headers_too_large")


@pytest.mark.parametrize(
    "tail", [b"1;" + b"a" * 80_000, b"0\r\n" + b"A: a\r\n" * 20_000], ids=["extension", "trailers"]
)
def test_endless_parts_of_a_chunked_body_are_refused(url: str, tail: bytes) -> None:
    with connect(url) as client:
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + tail)
        assert_refused(client, 431, "headers_too_large")


POST = b"POST / HTTP/1.1\r\nHost: a\r\n"


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"FOO / HTTP/1.1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET / HTTP/1.1\nHost: a\n\n",
        b"GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n",
        b"GET /\xc3\xa9 HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: b\0c\r\n\r\n",
        POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        POST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
        POST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        POST + b"Content-Length: 3, 3\r\n\r\nabc",
        POST + b"Content-Length: -3\r\n\r\nabc",
        POST + b"Content-Length: +3\r\n\r\nabc",
        POST + b"Content-Length: 99999999999999999999999\r\n\r\nabc",
        POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
)
def test_what_is_no_request_or_could_be_read_in_two_ways_is_refused(url: str, data: bytes) -> None:
    with connect(url) as client:
        client.send(data)
        assert_refused(client, 400, "invalid_request")


def test_requests_before_a_bad_one_are_answered_first(url: str, echo: Echo) -> None:
    echo.go.clear()
    with connect(url) as client:
        client.send(request("/wait") + request("/b") + b"FOO / HTTP/1.1\r\n\r\n" + request("/never"))
        echo.go.set()
        assert [client.echo()["path"] for _ in range(2)] == ["/wait", "/b"]
        assert_refused(client, 400, "invalid_request")
    assert "/never" not in echo.started


def test_a_bad_body_behind_a_request_that_is_being_answered(url: str, echo: Echo) -> None:
    echo.go.clear()
    with connect(url) as client:
        client.send(request("/wait") + POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n")
        echo.go.set()
        assert client.echo()["path"] == "/wait"
        assert_refused(client, 400, "invalid_request")


def test_a_request_for_another_protocol_is_answered_as_it_is(url: str) -> None:
    """Java's client sends this, with its body, and goes on in HTTP/1.1."""
    upgrade = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABk")
    with connect(url) as client:
        client.send(request("/a", *upgrade, method="POST", body=b"x" * 5000) + request("/b", *upgrade) + request("/c"))
        first = client.echo()
        assert (first["method"], first["path"], first["body"]) == ("POST", "/a", "x" * 5000)
        assert "upgrade" not in dict(first["headers"])
        assert [client.echo()["path"] for _ in range(2)] == ["/b", "/c"]


def test_pipelined_requests_are_not_read_before_their_turn() -> None:
    echo = Echo()
    many = request("/p") * 2_000_000
    with serving(echo) as url, connect(url) as client:
        client.send(request("/wait"))
        client.socket.settimeout(0.3)
        with pytest.raises(TimeoutError):  # the server has stopped reading, and the buffers between are full
            client.send(many)
        client.socket.settimeout(PATIENCE)
        assert echo.started == ["/wait"]
        echo.go.set()
        assert client.echo()["path"] == "/wait"
        for _ in range(3000):
            assert client.echo()["path"] == "/p"


def test_who_leaves_is_noticed_with_requests_waiting(caplog: pytest.LogCaptureFixture) -> None:
    echo = Echo()
    with serving(echo) as url:
        with connect(url) as client:
            client.send(request("/wait") + request("/next"))
            wait_until(lambda: echo.started == ["/wait"])
        assert echo.disconnected.wait(PATIENCE)
    assert echo.started == ["/wait"]
    assert not [record for record in caplog.records if record.exc_info]


@pytest.mark.parametrize(
    ("sent", "status"),
    [(b"", None), (b"GET / HTTP/1.1\r\nHo", 408), (request() * 2 + b"GET", 408)],
    ids=["silence", "half a head", "half a second one"],
)
def test_headers_have_to_end_in_time(sent: bytes, status: int | None) -> None:
    limits = ConnectionLimits(header_timeout=0.3, keep_alive_timeout=0.2)
    with serving(Echo(), limits=limits) as url, connect(url) as client:
        client.send(sent)
        for _ in range(sent.count(b"\r\n\r\n")):
            client.echo()
        if sent.endswith(b"GET"):
            client.send(b" ")
        if status:
            assert "0.3 seconds" in assert_refused(client, status, "request_timeout")
        else:
            assert client.is_ended()


def test_idle_connections_outlast_those_of_clients_and_proxies() -> None:
    """Whoever closes first cuts off a request that the other has just sent: httpx keeps 5 s, nginx and AWS 60 s."""
    assert Settings().keep_alive_timeout == ConnectionLimits().keep_alive_timeout > 60


def test_a_connection_is_kept_for_a_while_after_an_answer() -> None:
    with serving(Echo(), limits=SHORT) as url, connect(url) as client:
        client.send(request("/a"))
        assert client.echo()["path"] == "/a"
        client.send(request("/b"))
        assert client.echo()["path"] == "/b"
        assert client.is_ended()


def test_a_body_that_goes_on_behind_its_answer_has_an_end() -> None:
    with serving(Echo(), limits=SHORT) as url, connect(url) as client:
        client.send(b"POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n")
        assert client.read()[2] == b"early"
        # It is closed, though a byte arrives now and then.
        wait_until(lambda: is_closed_to(client))


def test_a_client_that_does_not_read_its_answer_is_left(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "app.http.protocol")
    with serving(Echo(), limits=SHORT) as url, connect(url) as client:
        client.send(request("/large"))
        wait_until(lambda: "the client has stopped reading" in caplog.text)
        with pytest.raises((ConnectionResetError, AssertionError)):
            assert len(client.read()[2]) == 32 * 2**20


def test_idle_connections_make_room(caplog: pytest.LogCaptureFixture) -> None:
    with serving(Echo(), limits=ConnectionLimits(connections=3)) as url:
        silent = [Client(url) for _ in range(3)]
        silent[0].send(b"GET / HT")
        for number in range(3):
            with connect(url) as client:
                client.send(request(f"/{number}"))
                assert client.echo()["path"] == f"/{number}"
        assert silent[0].is_ended()
        for client in silent:
            client.close()
    [warning] = [record for record in caplog.records if "CLOZE_MAX_CONNECTIONS" in record.getMessage()]
    assert "idle connections are closed" in warning.getMessage()


def test_beyond_the_limit_new_connections_are_refused_while_all_are_busy() -> None:
    echo = Echo()
    with serving(echo, limits=ConnectionLimits(connections=2)) as url:
        busy = [Client(url) for _ in range(2)]
        for client in busy:
            client.send(request("/wait"))
        wait_until(lambda: len(echo.started) == 2)
        with connect(url) as client:
            assert_refused(client, 503, "not_ready")
        echo.go.set()
        for client in busy:
            assert client.echo()["path"] == "/wait"
            client.close()
        with connect(url) as client:
            client.send(request("/after"))
            assert client.echo()["path"] == "/after"
