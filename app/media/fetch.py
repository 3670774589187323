"""Download of media from hosts that the operator lists, and never from a private network.

A name is resolved once. All its addresses must be public, and the connection goes to one of them, so that DNS
rebinding has no effect. Redirects are not followed. Proxies of the environment are not used, because they would resolve
the name again.
"""

import io
import time
from collections.abc import Callable, Collection
from functools import partial
from http.client import HTTPConnection, HTTPException, HTTPResponse
from urllib.parse import SplitResult

from app.errors import InvalidData, InvalidValue, TooLarge
from app.system.addresses import (
    Address,
    PrivateAddress,
    Resolver,
    is_public,
    parse_http_url,
    resolve,
    resolve_public,
)
from app.system.connections import TimedSocket, connect

CHUNK = 64 * 1024


def fetch(
    url: str,
    *,
    allowed_hosts: Collection[str],
    max_bytes: int,
    timeout: float,
    resolver: Resolver = resolve,
    permitted: Callable[[Address], bool] = is_public,
) -> bytes:
    """Downloads an http or https URL of at most `max_bytes` within `timeout` seconds in total.

    allowed_hosts: names such as `example.org` (on the default port) or `example.org:8443`. Empty turns URLs off.
    resolver, permitted: replaced in tests.

    Raises InvalidValue for a URL that is not allowed, InvalidData for a failed download, and TooLarge.
    """
    parts, host, port = _check_url(url, allowed_hosts)
    deadline = time.monotonic() + timeout
    try:
        addresses = resolve_public(host, port, resolver=resolver, permitted=permitted)
        remaining = partial(_remaining_seconds, deadline)
        sock = connect(addresses, port, host, tls=parts.scheme == "https", remaining=remaining)
        with sock:
            return _get(TimedSocket(sock, remaining), parts, max_bytes)
    except PrivateAddress as e:
        raise InvalidValue(f"{host} has no address, or an address that is not public") from e
    except (OSError, HTTPException) as e:
        raise InvalidData(f"the download from {host} failed: {e or type(e).__name__}") from e


def _check_url(url: str, allowed_hosts: Collection[str]) -> tuple[SplitResult, str, int]:
    """Returns the parts, the host and the port of an allowed URL. Raises InvalidValue."""
    if not allowed_hosts:
        raise InvalidValue("this server does not fetch URLs; send the content itself, in base64 or as a file")
    try:
        checked = parse_http_url(url)
    except ValueError as e:
        raise InvalidValue(f"this URL cannot be fetched: {e}") from e
    if not url.isascii():
        raise InvalidValue("expected a URL in ASCII: percent-encode other characters")
    if not checked.is_among(allowed_hosts):
        raise InvalidValue(f"{checked.name} is not among the hosts that this server may fetch from")
    return checked.parts, checked.host, checked.port


def _get(sock: TimedSocket, parts: SplitResult, max_bytes: int) -> bytes:
    connection = HTTPConnection(parts.netloc)
    connection.sock = sock  # has the methods of a socket that http.client uses
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    connection.request("GET", target, headers={"Accept-Encoding": "identity", "Connection": "close"})
    with connection.getresponse() as response:
        _check_response(response, max_bytes)
        content = io.BytesIO()
        while chunk := response.read(min(CHUNK, max_bytes + 1 - content.tell())):
            content.write(chunk)
            if content.tell() > max_bytes:
                raise TooLarge(f"the URL has more than {max_bytes} bytes")
        if response.length:  # the rest of the declared Content-Length
            raise InvalidData(f"the connection ended {response.length} bytes too early")
    return content.getvalue()


def _check_response(response: HTTPResponse, max_bytes: int) -> None:
    if 300 <= response.status < 400:
        raise InvalidData(f"the URL answers {response.status}, a redirect, which is not followed")
    if response.status != 200:
        raise InvalidData(f"the URL answers {response.status}")
    if response.getheader("Content-Encoding", "identity") != "identity":
        raise InvalidData("the URL answers with compressed content, which was not requested")
    if response.length is not None and response.length > max_bytes:
        raise TooLarge(f"the URL has {response.length} bytes; the limit is {max_bytes}")


def _remaining_seconds(deadline: float) -> float:
    """Returns the seconds until the deadline. Raises TimeoutError after it."""
    remaining = deadline - time.monotonic()
    if remaining <= 0:
        raise TimeoutError("it took too long")
    return remaining
