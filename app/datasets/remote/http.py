"""Files over HTTP, read from any offset on by range requests.

The rule against server-side request forgery holds for the address and for every redirect: its host must be allowed,
and all addresses of the host. Proxies of the environment are not used, because they would resolve names again.
"""

import re
import time
from collections.abc import Callable, Mapping
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Self
from urllib.parse import quote, urljoin, urlsplit

from app.errors import AppError, FileNotFound, Forbidden, InvalidData, InvalidValue, NotReady
from app.system.addresses import HttpUrl, PrivateAddress, Resolver, parse_http_url, resolve, resolve_public
from app.system.connections import TimedSocket, connect
from app.system.remote_access import HostRule

MAX_REDIRECTS = 5
TIMEOUT = 20.0  # seconds until the headers of an answer, or the next part of its content
DISCARD = 64 * 1024  # bytes read at once from a server that knows no ranges
_RANGE = re.compile(r"bytes (\d{1,18})-\d{1,18}/(\d{1,18})", re.ASCII)
_TOTAL = re.compile(r"bytes \*/(\d{1,18})", re.ASCII)
_KEPT = "%/:=&?~+!$,;'@()*[]"  # characters of a path or a query that stay as they are


class RangeStream:
    """The content of a URL from an offset to its end.

    size: bytes of the whole content. etag, modified: what the server says of its version. headers: those of the first
    answer, before any redirect.
    """

    def __init__(
        self, response: HTTPResponse, timer: "_Timer", size: int, position: int, headers: Mapping[str, str]
    ) -> None:
        self._response, self._timer = response, timer
        self.size, self.position, self.headers = size, position, headers
        self.etag = response.getheader("ETag")
        self.modified = response.getheader("Last-Modified")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._response.close()

    def read(self, count: int) -> bytes:
        """Returns at least one byte and at most `count`; none at the end. Raises NotReady if the connection fails."""
        count = min(count, self.size - self.position)
        if count <= 0:
            return b""
        self._timer.start()
        try:
            data = self._response.read1(count)
        except (OSError, HTTPException) as e:
            raise NotReady(f"the connection failed: {e or type(e).__name__}") from e
        if not data:
            raise NotReady(f"the connection ended {self.size - self.position:,} bytes too early")
        self.position += len(data)
        return data


def open_range(
    url: str,
    offset: int,
    rule: HostRule,
    *,
    headers: Mapping[str, str] | None = None,
    resolver: Resolver = resolve,
    timeout: float = TIMEOUT,
    on_discard: Callable[[int], None] = lambda count: None,
) -> RangeStream:
    """Opens the content of a URL at an offset. A server without ranges sends all, and the beginning is discarded.

    headers: for the host of the URL alone. on_discard: called with the size of each discarded part; it may raise to end
    the transfer. resolver, timeout: replaced in tests.

    Raises:
        InvalidValue: It is no URL.
        Forbidden: The URL or a redirect leads to a host or an address that is not allowed.
        FileNotFound, InvalidData: The server has no such file, or no file of known size.
        NotReady: The connection failed, or the server asks to try again.
    """
    host, further, first = None, dict(headers or {}), None
    for _ in range(MAX_REDIRECTS + 1):
        checked = _parse(url)
        rule.check(checked, redirected_from=host)
        timer = _Timer(timeout)
        response = _request(checked, offset, rule, further, resolver, timer)
        first = dict(response.headers.items()) if first is None else first
        location = response.getheader("Location")
        if not 300 <= response.status < 400 or location is None:
            stream = _open_stream(response, timer, checked.name, offset, first)
            _discard(stream, offset, on_discard)
            return stream
        response.close()
        host, url = checked.name, _follow(checked, url, location)
        if _parse(url).name != host:
            further = {}
    raise InvalidData(f"{host} redirects more than {MAX_REDIRECTS} times")


def _follow(checked: HttpUrl, url: str, location: str) -> str:
    """Returns the address that a redirect leads to."""
    try:
        target = urljoin(url, location)
        scheme = urlsplit(target).scheme  # in small letters
    except ValueError as e:
        raise InvalidValue(f"{checked.name} redirects to an address that cannot be read: {e}") from e
    if checked.parts.scheme == "https" and scheme == "http":
        raise Forbidden(f"{checked.name} redirects from https to http")
    return target


def _parse(url: str) -> HttpUrl:
    try:
        checked = parse_http_url(url)
    except ValueError as e:
        raise InvalidValue(f"this address cannot be read: {e}") from e
    parts = checked.parts
    path, query = quote(parts.path or "/", _KEPT), quote(parts.query, _KEPT)
    return HttpUrl(parts._replace(path=path, query=query), checked.host, checked.port)


def _request(
    url: HttpUrl, offset: int, rule: HostRule, headers: Mapping[str, str], resolver: Resolver, timer: "_Timer"
) -> HTTPResponse:
    try:
        addresses = resolve_public(
            url.host, url.port, resolver=resolver, permitted=lambda address: rule.permits(url, address)
        )
        sock = connect(addresses, url.port, url.host, tls=url.parts.scheme == "https", remaining=timer.remaining)
        try:
            return _ask(TimedSocket(sock, timer.remaining), url, offset, headers)
        except BaseException:
            sock.close()
            raise
    except PrivateAddress as e:
        raise Forbidden(f"{url.host} has no address, or an address that is not public") from e
    except (OSError, HTTPException) as e:
        raise NotReady(f"{url.name} cannot be reached: {e or type(e).__name__}") from e


class _Timer:
    """The time of one step: of a request until its headers are received, or of the next part of the content."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.start()

    def start(self) -> None:
        self._deadline = time.monotonic() + self._seconds

    def remaining(self) -> float:
        """Returns the seconds that are left. Raises TimeoutError after them."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("it took too long")
        return left


def _ask(sock: TimedSocket, url: HttpUrl, offset: int, headers: Mapping[str, str]) -> HTTPResponse:
    connection = HTTPConnection(url.name)
    connection.sock = sock  # has the methods of a socket that http.client uses
    target = url.parts.path + (f"?{url.parts.query}" if url.parts.query else "")
    standard = {"Accept-Encoding": "identity", "Connection": "close", "Range": f"bytes={offset}-"}
    connection.request("GET", target, headers={**headers, **standard})
    return connection.getresponse()


def _open_stream(
    response: HTTPResponse, timer: _Timer, host: str, offset: int, headers: Mapping[str, str]
) -> RangeStream:
    try:
        if error := _refusal(response, host):
            raise error
        start, size = _measure(response, host)
        if start > offset:
            raise InvalidData(f"{host} answers with another range than it was asked for")
        return RangeStream(response, timer, size, start, headers)
    except BaseException:
        response.close()
        raise


def _discard(stream: RangeStream, offset: int, on_discard: Callable[[int], None]) -> None:
    try:
        while discarded := stream.read(min(DISCARD, offset - stream.position)):
            on_discard(len(discarded))
    except BaseException:
        stream.close()
        raise


def _refusal(response: HTTPResponse, host: str) -> AppError | None:
    """Returns the error for an answer without content, or None."""
    status = response.status
    if status in (200, 206, 416):
        return None
    if status in (401, 403):
        return Forbidden(f"{host} answers {status}: this server has no access to the file")
    if status in (404, 410):
        return FileNotFound(f"{host} answers {status}: it has no such file")
    if status in (408, 425, 429) or status >= 500:
        return NotReady(f"{host} answers {status}")
    return InvalidData(f"{host} answers {status}")


def _measure(response: HTTPResponse, host: str) -> tuple[int, int]:
    """Returns (the offset at which the content of an answer starts, the size of the whole file)."""
    if response.getheader("Content-Encoding", "identity") != "identity":
        raise InvalidData(f"{host} answers with compressed content, which was not requested")
    given = response.getheader("Content-Range") or ""
    if response.status == 416:  # nothing lies behind the offset
        if found := _TOTAL.fullmatch(given):
            return int(found[1]), int(found[1])
    elif response.status == 206:
        found = _RANGE.fullmatch(given)
        if found and int(found[1]) <= int(found[2]):
            return int(found[1]), int(found[2])
    elif response.length is not None:
        return 0, response.length
    raise InvalidData(f"{host} does not tell the size of the file")
