"""Web pages of elsewhere keep out: a browser lets any page send requests to any address, this server's too."""

import ipaddress
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.errors import error_response
from app.errors import AppError, BadRequest, Forbidden

ANY = "*"

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
# Names that nobody can have in the public DNS, and so no page's author can lead to this server.
_PRIVATE = (".localhost", ".local", ".internal", ".home.arpa")


class OriginMiddleware:
    """Answers 403 to what a page of another host sends, and to hosts that this server does not go by.

    A browser names in `Origin` the page that a request comes from; a form of any page can be posted here
    without the browser asking first. Where no key protects the server, its own name is checked too: a page
    may let its name lead to this server (DNS rebinding), whose pages and answers are then its own.

    own: the address that the server listens on. allowed: further names; `*` is any.
    """

    def __init__(self, app: ASGIApp, *, own: str, allowed: Collection[str], keys: bool) -> None:
        self.app = app
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
            return BadRequest("the request has several Host headers; it may have one")
        message = self._objection(method, headers)
        return None if message is None else Forbidden(message)

    def _objection(self, method: str, headers: Headers) -> str | None:
        host = _name(headers.get("host", ""))
        if not self._any_host and not self._is_own(host):
            name = headers["host"][:100]
            return f"this server does not go by the name {name!r}: list it in CLOZE_ALLOWED_HOSTS, or set keys"
        if method in _SAFE_METHODS or "origin" not in headers:
            return None
        # What a browser says of itself counts first: behind a proxy, `Host` may be another than the page's.
        if headers.get("sec-fetch-site") == "same-origin":
            return None
        origin = _name(headers["origin"].partition("://")[2])
        if origin and (origin == host or origin in self._allowed):
            return None
        return f"pages of {headers['origin'][:100]!r} may not send requests to this server"

    def _is_own(self, host: str | None) -> bool:
        if host is None:
            return False
        if not host or "." not in host or host in self._allowed or host.endswith(_PRIVATE):
            return True  # without a dot it is a name of this machine or network, such as a container's
        try:
            ipaddress.ip_address(host)
        except ValueError:
            return False
        return True


def _name(authority: str) -> str | None:
    """The name in `host:port`, in lower case; None where it is not of that form."""
    try:
        return (urlsplit(f"//{authority}").hostname or "").rstrip(".")
    except ValueError:
        return None
