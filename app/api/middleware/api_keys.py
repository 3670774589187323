"""API keys, where the operator sets any: `Authorization: Bearer KEY`."""

import hmac
from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.errors import error_response
from app.errors import Unauthorized

# Probes and the page carry no key; what the page asks for does. So do /metrics and /info: they name
# models and tell of the load.
OPEN_PATHS = frozenset({"/", "/health", "/ready", "/openapi.json", "/docs"})
OPEN_PREFIXES = ("/docs/", "/static/")


def is_open(path: str) -> bool:
    """Whether a path asks for no key."""
    return path in OPEN_PATHS or path.startswith(OPEN_PREFIXES)


class ApiKeyMiddleware:
    """Answers 401 to requests without one of the keys. Without keys, whatever is sent is ignored.

    Hugging Face's client sends the user's hub token to every server it talks to; so the header is
    neither judged while no key is set nor ever logged.
    """

    def __init__(self, app: ASGIApp, keys: Sequence[str]) -> None:
        self.app = app
        self.keys = [key.encode() for key in keys]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not self.keys or is_open(scope["path"]) or self._is_allowed(scope):
            await self.app(scope, receive, send)
            return
        message = "this server asks for an API key: send `Authorization: Bearer KEY`"
        await error_response(scope, Unauthorized(message))(scope, receive, send)

    def _is_allowed(self, scope: Scope) -> bool:
        scheme, _, key = Headers(scope=scope).get("authorization", "").partition(" ")
        given = key.strip().encode("latin-1")
        # Every key is compared, each in constant time: the time tells nothing of any of them.
        matches = [hmac.compare_digest(given, known) for known in self.keys]
        return scheme.lower() == "bearer" and any(matches)
