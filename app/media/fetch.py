"""Media from other servers: only from those that the operator lists, and never from the inside of a network.

A name is resolved once; every address it has must be public, and the connection goes to one of those
very addresses, so that a name that answers differently the second time (DNS rebinding) gains nothing.
Redirects are not followed. Proxies of the environment are not used: they would resolve the name again.
"""

import io
import ipaddress
import socket
import ssl
import time
from collections.abc import Callable, Collection, Sequence
from http.client import HTTPConnection, HTTPException, HTTPResponse
from urllib.parse import SplitResult

from app.errors import InvalidData, InvalidValue, TooLarge
from app.system.addresses import DEFAULT_PORTS, Address, is_public, parse_http_url

Resolver = Callable[[str, int], Sequence[str]]

CHUNK = 64 * 1024


def resolve(host: str, port: int) -> list[str]:
    """The addresses of a name as the system has them. It has its own time limit. Raises OSError."""
    return [str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def fetch(
    url: str,
    *,
    allowed_hosts: Collection[str],
    max_bytes: int,
    timeout: float,
    resolver: Resolver = resolve,
    permitted: Callable[[Address], bool] = is_public,
) -> bytes:
    """The content of an http or https URL, at most `max_bytes`, within `timeout` seconds in all.

    `allowed_hosts` are names, `example.org` (on the usual port) or `example.org:8443`; none means that
    URLs are off. `resolver` and `permitted` are there for tests. Raises InvalidValue for a URL that may
    not be fetched, InvalidData where it cannot be, and TooLarge.
    """
    parts, host, port = _checked(url, allowed_hosts)
    deadline = time.monotonic() + timeout
    try:
        addresses = [ipaddress.ip_address(found.partition("%")[0]) for found in resolver(host, port)]
        if not addresses or not all(map(permitted, addresses)):
            raise InvalidValue(f"{host} has no address, or one that is not public")
        sock = _connect(addresses, port, parts.scheme, host, deadline)
        with sock:
            return _get(_Deadline(sock, deadline), parts, max_bytes)
    except (OSError, HTTPException) as e:
        raise InvalidData(f"{host} could not be fetched from: {e or type(e).__name__}") from e


def _checked(url: str, allowed_hosts: Collection[str]) -> tuple[SplitResult, str, int]:
    if not allowed_hosts:
        raise InvalidValue("URLs are not fetched by this server; send the content itself, in base64 or as a file")
    try:
        checked = parse_http_url(url)
    except ValueError as e:
        raise InvalidValue(f"not a URL that can be fetched: {e}") from e
    if not url.isascii():
        raise InvalidValue("expected a URL in ASCII: other characters are percent-encoded")
    host, port = checked.host, checked.port
    named = host if port == DEFAULT_PORTS[checked.parts.scheme] else f"{host}:{port}"
    if named not in {allowed.lower() for allowed in allowed_hosts}:
        raise InvalidValue(f"{named} is not among the hosts that this server may fetch from")
    return checked.parts, host, port


def _connect(addresses: Sequence[Address], port: int, scheme: str, host: str, deadline: float) -> socket.socket:
    """A connection to the first of the checked addresses that answers; TLS is checked against the name."""
    failure: OSError = TimeoutError("no time left")
    for address in addresses:
        try:
            sock = socket.create_connection((str(address), port), timeout=_left(deadline))
        except OSError as e:
            failure = e
            continue
        if scheme == "http":
            return sock
        try:
            sock.settimeout(_left(deadline))
            return ssl.create_default_context().wrap_socket(sock, server_hostname=host)
        except BaseException:
            sock.close()
            raise
    raise failure


def _get(sock: "_Deadline", parts: SplitResult, max_bytes: int) -> bytes:
    connection = HTTPConnection(parts.netloc)
    connection.sock = sock  # what it uses of a socket is there
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    connection.request("GET", target, headers={"Accept-Encoding": "identity", "Connection": "close"})
    with connection.getresponse() as response:
        _check_response(response, max_bytes)
        content = io.BytesIO()
        while chunk := response.read(min(CHUNK, max_bytes + 1 - content.tell())):
            content.write(chunk)
            if content.tell() > max_bytes:
                raise TooLarge(f"the URL has more than {max_bytes} bytes")
        if response.length:  # what a length that was promised leaves open
            raise InvalidData(f"the connection ended {response.length} bytes too early")
    return content.getvalue()


def _check_response(response: HTTPResponse, max_bytes: int) -> None:
    if 300 <= response.status < 400:
        raise InvalidData(f"the URL answers {response.status}, a redirect, which is not followed")
    if response.status != 200:
        raise InvalidData(f"the URL answers {response.status}")
    if response.getheader("Content-Encoding", "identity") != "identity":
        raise InvalidData("the URL answers with compressed content, which was not asked for")
    if response.length is not None and response.length > max_bytes:
        raise TooLarge(f"the URL has {response.length} bytes, where {max_bytes} are allowed")


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("it took too long")
    return left


class _Deadline(io.RawIOBase):
    """A socket, as http.client uses one, whose every wait ends at one deadline: a server that sends
    a byte now and then would never meet a timeout of single reads."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._sock, self._deadline = sock, deadline

    def sendall(self, data: bytes) -> None:
        self._sock.settimeout(_left(self._deadline))
        self._sock.sendall(data)

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        self._sock.settimeout(_left(self._deadline))
        return self._sock.recv_into(buffer)

    def close(self) -> None:
        """Left to the owner of the socket: http.client closes it before the content is read."""
