"""Protection against requests from pages of other hosts, because browsers let any page send requests to this server."""

import ipaddress
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.errors import error_response
from app.errors import AppError, BadRequest, Forbidden

ANY = "*"

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
# Names that cannot exist in the public DNS, so that no attacker can make them resolve to this server.
_PRIVATE = (".localhost", ".local", ".internal", ".home.arpa")


class OriginMiddleware:
    """Answers 403 to requests from pages of other hosts, and to requests for an unknown host name.

    A browser sends the page's host in `Origin`, and sends the forms of any page without a preflight request. If no key
    protects the server, the `Host` header is checked too: with DNS rebinding, a page can make its own name resolve to
    this server and then read its answers.

    own: the address that the server listens on. allowed: further names; `*` allows any.
    origins: of pages of other hosts that may send requests; `*` allows any.
    """

    def __init__(
        self, app: ASGIApp, *, own: str, allowed: Collection[str], keys: bool, origins: Collection[str] = ()
    ) -> None:
        self.app = app
        self._origins = frozenset(origins)
        self._allowed = {name.lower().rstrip(".") for name in (own, *allowed)}
        self._any_host = keys or ANY in allowed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self._refusal(scope["method"], Headers(scope=scope)) if scope["type"] == "http" else None
        if refusal is None:
            await self.app(scope, receive, send)
        else:
            await error_response(scope, refusal)(scope, receive, send)

    def _refusal(self, method: str, headers: Headers) -> AppError | None:
        if len(headers.getlist("host")) > 1:
            return BadRequest("the request has more than one Host header")
        message = self._find_violation(method, headers)
        return None if message is None else Forbidden(message)

    def _find_violation(self, method: str, headers: Headers) -> str | None:
        host = _parse_host(headers.get("host", ""))
        if not self._any_host and not self._is_own(host):
            name = headers["host"][:100]
            return f"{name!r} is not a known name of this server: add it to CLOZE_ALLOWED_HOSTS, or set API keys"
        if method in _SAFE_METHODS or "origin" not in headers:
            return None
        if ANY in self._origins or headers["origin"] in self._origins:
            return None
        # The browser's own judgement comes first: behind a proxy, `Host` may differ from the page's host.
        if headers.get("sec-fetch-site") == "same-origin":
            return None
        origin = _parse_host(headers["origin"].partition("://")[2])
        if origin and (origin == host or origin in self._allowed):
            return None
        return f"pages of {headers['origin'][:100]!r} may not send requests to this server"

    def _is_own(self, host: str | None) -> bool:
        if host is None:
            return False
        if not host or "." not in host or host in self._allowed or host.endswith(_PRIVATE):
            return True  # a name without a dot is local, such as a container's
        try:
            ipaddress.ip_address(host)
        except ValueError:
            return False
        return True


def _parse_host(authority: str) -> str | None:
    """Returns the lower-case host of `host:port`; None if it is not of that form."""
    try:
        return (urlsplit(f"//{authority}").hostname or "").rstrip(".")
    except ValueError:
        return None
