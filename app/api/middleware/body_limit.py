"""Limits on request bodies, enforced while they arrive: bytes of one, bytes of all together, and time."""

import asyncio
import logging
from collections.abc import Container, Mapping
from dataclasses import dataclass, field

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.errors import error_response
from app.api.wire.content_type import media_type
from app.errors import AppError, Busy, RequestTimeout, TooLarge, UnsupportedMediaType

_DIGITS = 18
_FREE_BYTES = 64 * 1024  # not counted for each body, so that small requests pass while large ones use up the budget
_MIN_BYTES = 16 * 1024  # of a body that must arrive within the timeout, or the rest of it

_log = logging.getLogger(__name__)


class BodyBudget:
    """The bytes of memory that all bodies in progress use, at most `limit`."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = 0

    def change(self, count: int) -> None:
        """Takes `count` bytes, or returns them if it is negative. Raises Busy beyond the limit."""
        if count > 0 and self._held + count > self._limit:
            raise Busy(f"request bodies in progress use {self._held} of {self._limit} bytes; try again later")
        self._held += count


@dataclass(frozen=True)
class BodyLimits:
    """Limits on request bodies.

    max_bytes: the size of one body.
    total_bytes: the size of all bodies in progress.
    timeout: seconds within which the next 16 KiB of a body must arrive.
    by_path: the limits of uploads, which replace `max_bytes`; uploads are written to disk while they arrive.
    streamed: a media type, and the paths where the limit applies to each line of such a body, not to the body.
    """

    max_bytes: int
    total_bytes: int
    timeout: float
    by_path: Mapping[str, int] = field(default_factory=dict)
    streamed: tuple[str, Container[str]] = ("", ())


class BodyLimitMiddleware:
    """Refuses bodies that are too large (413), too slow (408), encoded (415), or too many at once (429)."""

    def __init__(self, app: ASGIApp, limits: BodyLimits) -> None:
        self.app = app
        self.limits = limits
        self.budget = BodyBudget(limits.total_bytes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        path = scope["path"].rstrip("/")
        limit = self.limits.by_path.get(path, self.limits.max_bytes)
        refusal = _refusal(headers, None if self._is_streamed(headers, path) else limit)
        if refusal is not None:
            # The rest is never read, so the connection cannot be used again.
            await error_response(scope, refusal, {"connection": "close"})(scope, receive, send)
            return
        body: _Body
        if self._is_streamed(headers, path):
            body = _LineBody(receive, self.limits.timeout, limit, self.budget)
        elif path in self.limits.by_path:
            body = _Body(receive, self.limits.timeout, limit, None)
        else:
            body = _Body(receive, self.limits.timeout, limit, self.budget)
        try:
            await self.app(scope, body.receive, send)
        finally:
            body.release()

    def _is_streamed(self, headers: Headers, path: str) -> bool:
        kind, paths = self.limits.streamed
        return path in paths and media_type(headers) == kind


def _refusal(headers: Headers, limit: int | None) -> AppError | None:
    """Returns the error for which a body is refused before it is read, if there is one."""
    encoding = headers.get("content-encoding", "").strip().lower()
    if encoding not in ("", "identity"):
        return UnsupportedMediaType(
            f"the Content-Encoding {encoding[:100]!r} is not supported; send the body without an encoding"
        )
    declared = headers.get("content-length", "")
    # Long numbers are not parsed, because thousands of digits raise an error or take long.
    if limit is None or not (declared.isascii() and declared.isdigit()):
        return None
    return _too_large(limit) if len(declared) > _DIGITS or int(declared) > limit else None


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"the body is larger than the limit of {limit} bytes")


class _Body:
    """One body that is being received. An exception of `receive` ends the request."""

    def __init__(self, receive: Receive, timeout: float, limit: int, budget: BodyBudget | None) -> None:
        self._receive, self._timeout, self._limit, self._budget = receive, timeout, limit, budget
        self._received = 0
        self._held = 0  # bytes taken from the budget
        self._ended = False
        self._waited = 0.0  # seconds for the last `_arrived` bytes
        self._arrived = 0

    async def receive(self) -> Message:
        if self._ended:  # the only message left is the client's disconnect
            return await self._receive()
        message = await self._next()
        self._ended = not message.get("more_body", False)
        self._received += len(message.get("body", b""))
        if self._received > self._limit:
            raise _too_large(self._limit)
        self._hold(self._received)
        return message

    async def _next(self) -> Message:
        """Receives the next message. Raises RequestTimeout. Counts only the time spent waiting here."""
        clock = asyncio.get_running_loop().time
        began = clock()
        try:
            async with asyncio.timeout(self._timeout - self._waited):
                message = await self._receive()
        except TimeoutError:
            raise RequestTimeout(
                f"less than {_MIN_BYTES} bytes of the body came in {self._timeout:g} seconds"
            ) from None
        self._waited += clock() - began
        self._arrived += len(message.get("body", b""))
        if self._arrived >= _MIN_BYTES:
            self._waited, self._arrived = 0.0, 0
        return message

    def _hold(self, count: int) -> None:
        """Sets the bytes that the body takes from the budget. Raises Busy."""
        if self._budget is not None:
            held = max(0, count - _FREE_BYTES)
            if held != self._held:
                self._budget.change(held - self._held)
                self._held = held

    def release(self) -> None:
        self._hold(0)


class _LineBody(_Body):
    """A body of lines. Only the unfinished line is held in memory.

    The response has started by then, so beyond the limits the stream ends as if the client had disconnected.
    """

    async def receive(self) -> Message:
        if self._ended:
            return await self._receive()
        try:
            # There is no timeout between two lines.
            message = await (self._next() if self._received else self._receive())
            self._ended = not message.get("more_body", False)
            piece = message.get("body", b"")
            end = piece.rfind(b"\n")
            self._received = self._received + len(piece) if end < 0 else len(piece) - end - 1
            self._hold(min(self._received, self._limit))  # a longer line is not kept
        except (Busy, RequestTimeout) as error:
            _log.warning("the server ends a stream of lines: %s", error.message)
            self._ended = True
            return {"type": "http.disconnect"}
        return message
