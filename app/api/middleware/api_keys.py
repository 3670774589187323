"""API keys: `Authorization: Bearer KEY`, required if the operator sets any."""

import hmac
from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.errors import error_response
from app.errors import Unauthorized

# Health probes and the page's own files need no key. The page's requests do, and so do /metrics and /info, which show
# models and load.
OPEN_PATHS = frozenset({"/", "/health", "/ready", "/openapi.json", "/docs", "/tei/health"})
OPEN_PREFIXES = ("/docs/", "/static/")
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def is_open(method: str, path: str) -> bool:
    """Tells whether a request needs no key."""
    return method in _SAFE_METHODS and (path in OPEN_PATHS or path.startswith(OPEN_PREFIXES))


class ApiKeyMiddleware:
    """Answers 401 to requests without one of the keys. If no key is set, ignores the header.

    Hugging Face's client sends the user's hub token to every server. The header is therefore not checked while no key
    is set, and never logged.
    """

    def __init__(self, app: ASGIApp, keys: Sequence[str]) -> None:
        self.app = app
        self.keys = [key.encode() for key in keys]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or self._is_allowed(scope):
            await self.app(scope, receive, send)
            return
        message = "this server requires an API key: send `Authorization: Bearer KEY`"
        await error_response(scope, Unauthorized(message))(scope, receive, send)

    def _is_allowed(self, scope: Scope) -> bool:
        if not self.keys or is_open(scope["method"], scope["path"]):
            return True
        scheme, _, key = Headers(scope=scope).get("authorization", "").partition(" ")
        given = key.strip().encode("latin-1")
        # All keys are compared, each in constant time, so that the time reveals nothing about them.
        matches = [hmac.compare_digest(given, known) for known in self.keys]
        return scheme.lower() == "bearer" and any(matches)
