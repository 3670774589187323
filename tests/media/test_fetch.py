import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from app.errors import InvalidData, InvalidValue, TooLarge
from app.media.fetch import fetch

OK = b"HTTP/1.1 200 OK\r\n"


class Server:
    """Gives one prepared answer to each connection on the loopback address, and remembers the requests."""

    def __init__(self, answer: bytes, *, hold: bool = False) -> None:
        self.requests: list[bytes] = []
        self._answer, self._hold = answer, hold
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            connection, _ = self._socket.accept()
            with connection:
                if request := connection.recv(4096):
                    self.requests.append(request)
                    connection.sendall(self._answer)
                    if self._hold:
                        self._done.wait(20)
                if self._done.is_set():
                    return

    def close(self) -> None:
        self._done.set()
        socket.create_connection(("127.0.0.1", self.port)).close()  # ends the waiting for one
        self._thread.join()
        self._socket.close()


@contextmanager
def serving(answer: bytes, **options: bool) -> Iterator[Server]:
    server = Server(answer, **options)
    try:
        yield server
    finally:
        server.close()


def get(server: Server, path: str = "/a.png?x=1", **changes: Any) -> bytes:
    options = {
        "allowed_hosts": [f"media.test:{server.port}"],
        "max_bytes": 1000,
        "timeout": 10.0,
        "resolver": lambda host, port: ["127.0.0.1"],
        "permitted": lambda address: True,
    }
    return fetch(f"http://media.test:{server.port}{path}", **(options | changes))


@pytest.mark.parametrize(
    "answer",
    [
        OK + b"Content-Length: 5\r\n\r\nhello",
        OK + b"\r\nhello",
        OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
    ],
)
def test_content_is_fetched_by_name_from_the_address_that_was_checked(answer: bytes) -> None:
    asked: list[Any] = []
    with serving(answer) as server:
        assert get(server, resolver=lambda *name: asked.append(name) or ["127.0.0.1"]) == b"hello"
    request = server.requests[0].decode()
    assert request.startswith("GET /a.png?x=1 HTTP/1.1\r\n") and f"Host: media.test:{server.port}\r\n" in request
    assert asked == [("media.test", server.port)]


@pytest.mark.parametrize("address", ["10.1.2.3", "::ffff:8.8.8.8", "64:ff9b:1::a00:1", "fe80::1%eth0"])
def test_no_address_but_public_ones(address: str) -> None:
    for addresses in ([address], ["8.8.8.8", address]):  # one bad one among good ones is enough
        with pytest.raises(InvalidValue, match="not public"):
            fetch(
                "http://a.test/", allowed_hosts=["a.test"], max_bytes=1, timeout=1, resolver=lambda *_, a=addresses: a
            )


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://other.test/", "other.test is not among the hosts"),
        ("http://a.test:8080/", "a.test:8080 is not among the hosts"),
        ("http://a.test.evil.test/", "not among the hosts"),
        ("http://evil.test#a.test", "not among the hosts"),
        ("http://127.0.0.1/", "not among the hosts"),
        ("http://user@a.test/", "must not contain a user"),
        ("http://a.test@evil.test/", "must not contain a user"),
        ("ftp://a.test/", "this URL cannot be fetched"),
        ("file:///etc/passwd", "this URL cannot be fetched"),
        ("//a.test/", "this URL cannot be fetched"),
        ("http://a.test/a b", "this URL cannot be fetched"),
        ("http://a.test/\r\nHost: b", "this URL cannot be fetched"),
        ("http://a.test:99999/", "this URL cannot be fetched"),
        ("http://[::1/", "this URL cannot be fetched"),
        ("", "this URL cannot be fetched"),
    ],
)
def test_only_listed_hosts_by_plain_urls(url: str, message: str) -> None:
    with pytest.raises(InvalidValue, match=message):
        fetch(url, allowed_hosts=["a.test"], max_bytes=1, timeout=1, resolver=lambda *_: pytest.fail("resolved"))


def test_it_is_off_without_a_list() -> None:
    with pytest.raises(InvalidValue, match="does not fetch URLs"):
        fetch("http://a.test/", allowed_hosts=(), max_bytes=1, timeout=1)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\n\r\n", "a redirect, which is not followed"),
        (b"HTTP/1.1 404 Not Found\r\n\r\n", "answers 404"),
        (OK + b"Content-Encoding: gzip\r\n\r\nxx", "compressed content"),
        (OK + b"Content-Length: 50\r\n\r\nhello", "45 bytes too early"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n9\r\nhe", "the download from"),
        (OK + b"X: " + b"y" * 70_000, "the download from"),
        (b"SSH-2.0-OpenSSH\r\n", "the download from"),
        (b"", "the download from"),
    ],
)
def test_other_answers_are_refused(answer: bytes, message: str) -> None:
    with serving(answer) as server, pytest.raises(InvalidData, match=message):
        get(server)
    assert len(server.requests) == 1


def test_content_is_limited_by_its_header_and_while_it_comes() -> None:
    for head in (b"Content-Length: 1001\r\n\r\n", b"\r\n"):
        with serving(OK + head + bytes(1001)) as server, pytest.raises(TooLarge, match=r"1001 bytes|more than 1000"):
            get(server)
    with serving(OK + b"\r\n" + bytes(1000)) as server:
        assert len(get(server)) == 1000


@pytest.mark.parametrize("answer", [OK, OK + b"Content-Length: 50\r\n\r\nhello"])
def test_a_server_that_falls_silent_costs_no_more_than_the_timeout(answer: bytes) -> None:
    with (
        serving(answer, hold=True) as server,
        pytest.raises(InvalidData, match="failed: timed out"),
    ):
        get(server, timeout=0.2)


def test_a_name_that_is_unknown_and_a_port_that_is_closed() -> None:
    def unknown(host: str, port: int) -> list[str]:
        raise socket.gaierror(-2, "Name or service not known")

    with pytest.raises(InvalidData, match="not known"):
        fetch("http://a.test/", allowed_hosts=["a.test"], max_bytes=1, timeout=1, resolver=unknown)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(InvalidData, match=r"the download from a\.test failed"):
        fetch(
            f"http://a.test:{port}/",
            allowed_hosts=[f"a.test:{port}"],
            max_bytes=1,
            timeout=5,
            resolver=lambda *_: ["127.0.0.1"],
            permitted=lambda _: True,
        )


def test_tls_is_checked_against_the_name() -> None:
    with serving(b"not TLS") as server, pytest.raises(InvalidData, match="the download from"):
        fetch(
            f"https://media.test:{server.port}/",
            allowed_hosts=[f"media.test:{server.port}"],
            max_bytes=1,
            timeout=5,
            resolver=lambda *_: ["127.0.0.1"],
            permitted=lambda _: True,
        )
    assert b"media.test" in server.requests[0]  # the name that the certificate has to be for
