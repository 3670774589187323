"""Limits of request bodies, kept while they arrive: bytes of one, bytes of all together, and time."""

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
_FREE_BYTES = 64 * 1024  # of each body: not counted, so that small requests go on while large ones fill the memory
_LEAST_BYTES = 16 * 1024  # of a body that has to arrive within the timeout, if so many are missing

_log = logging.getLogger(__name__)


class BodyBudget:
    """The bytes that all bodies under way hold in memory, at most `limit`."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = 0

    def change(self, count: int) -> None:
        """Takes `count` bytes, or gives them back where it is negative. Raises Busy beyond the limit."""
        if count > 0 and self._held + count > self._limit:
            raise Busy(f"the bodies under way hold {self._held} bytes, of {self._limit} allowed; try again later")
        self._held += count


@dataclass(frozen=True)
class BodyLimits:
    """max_bytes: of a body; `by_path` holds those of uploads, which are written to the disk while they arrive.

    streamed: a media type and the paths where a body of that type has no limit, but each of its lines has.
    total_bytes: of all bodies under way. timeout: seconds in which the next 16 KiB of a body have to arrive.
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
            body = _Lines(receive, self.limits.timeout, limit, self.budget)
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
        return UnsupportedMediaType(f"a body of Content-Encoding {encoding[:100]!r} is not read; send it as it is")
    declared = headers.get("content-length", "")
    # Only so many digits are read as a number: thousands of them would be an error, or slow.
    if limit is None or not (declared.isascii() and declared.isdigit()):
        return None
    return _too_large(limit) if len(declared) > _DIGITS or int(declared) > limit else None


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"the body is larger than the {limit} bytes that are taken here")


class _Body:
    """One body on its way. What `receive` raises ends the request."""

    def __init__(self, receive: Receive, timeout: float, limit: int, budget: BodyBudget | None) -> None:
        self._receive, self._timeout, self._limit, self._budget = receive, timeout, limit, budget
        self._received = 0
        self._held = 0  # bytes taken from the budget
        self._ended = False
        self._waited = 0.0  # seconds for the last `_arrived` bytes
        self._arrived = 0

    async def receive(self) -> Message:
        if self._ended:  # only the client's leave can come, at any time
            return await self._receive()
        message = await self._next()
        self._ended = not message.get("more_body", False)
        self._received += len(message.get("body", b""))
        if self._received > self._limit:
            raise _too_large(self._limit)
        self._hold(self._received)
        return message

    async def _next(self) -> Message:
        """The next message. Raises RequestTimeout. Time in which nobody asks for a message is not counted."""
        clock = asyncio.get_running_loop().time
        began = clock()
        try:
            async with asyncio.timeout(self._timeout - self._waited):
                message = await self._receive()
        except TimeoutError:
            raise RequestTimeout(
                f"less than {_LEAST_BYTES} bytes of the body came in {self._timeout:g} seconds"
            ) from None
        self._waited += clock() - began
        self._arrived += len(message.get("body", b""))
        if self._arrived >= _LEAST_BYTES:
            self._waited, self._arrived = 0.0, 0
        return message

    def _hold(self, count: int) -> None:
        """Has the budget know that the body takes `count` bytes. Raises Busy."""
        if self._budget is not None:
            held = max(0, count - _FREE_BYTES)
            if held != self._held:
                self._budget.change(held - self._held)
                self._held = held

    def release(self) -> None:
        self._hold(0)


class _Lines(_Body):
    """A body of lines, of which only the one that has not ended is held.

    The answer has begun by then: beyond the limits the stream ends as if the client had left.
    """

    async def receive(self) -> Message:
        if self._ended:
            return await self._receive()
        try:
            # Between two lines a client may take its time.
            message = await (self._next() if self._received else self._receive())
            self._ended = not message.get("more_body", False)
            piece = message.get("body", b"")
            end = piece.rfind(b"\n")
            self._received = self._received + len(piece) if end < 0 else len(piece) - end - 1
            self._hold(min(self._received, self._limit))  # of a longer line nothing is kept
        except (Busy, RequestTimeout) as error:
            _log.warning("a stream of lines is ended: %s", error.message)
            self._ended = True
            return {"type": "http.disconnect"}
        return message
