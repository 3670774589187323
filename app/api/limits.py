"""A bound on every body, kept while it arrives: with or without a Content-Length."""

from collections.abc import Container, Mapping

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.errors import error_response
from app.errors import TooLarge

_DIGITS = 18


class BodyLimitMiddleware:
    """Refuses a body over `max_bytes` with 413; `by_path` holds the limits of single paths.

    A body of `streamed`'s media type has no bound at all on its paths: whoever reads it bounds each of its parts.
    """

    def __init__(
        self,
        app: ASGIApp,
        max_bytes: int,
        by_path: Mapping[str, int] | None = None,
        streamed: tuple[str, Container[str]] = ("", ()),
    ) -> None:
        self.app = app
        self.max_bytes = max_bytes
        self.by_path = by_path or {}
        self.streamed = streamed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or self._is_streamed(scope):
            await self.app(scope, receive, send)
            return
        limit = self.by_path.get(scope["path"].rstrip("/"), self.max_bytes)
        too_large = TooLarge(f"the body is larger than the {limit} bytes that are taken here")
        declared = Headers(scope=scope).get("content-length", "")
        # Only so many digits are read as a number: thousands of them would be an error, or slow.
        if declared.isascii() and declared.isdigit() and (len(declared) > _DIGITS or int(declared) > limit):
            # The rest is never read, so the connection cannot be used again.
            response = error_response(scope, too_large, {"connection": "close"})
            await response(scope, receive, send)
            return
        received = 0

        async def receive_within_limit() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                raise too_large
            return message

        await self.app(scope, receive_within_limit, send)

    def _is_streamed(self, scope: Scope) -> bool:
        kind, paths = self.streamed
        given = Headers(scope=scope).get("content-type", "").partition(";")[0].strip().lower()
        return bool(kind) and given == kind and scope["path"].rstrip("/") in paths
