"""The access log: one line for each request, without paths, queries, headers or bodies, which may hold secrets."""

import logging
import time
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.middleware.api_keys import caller_of
from app.system.log_format import fields
from app.telemetry.request_notes import NOTES, RequestNotes

_log = logging.getLogger("app.access")


class AccessLogMiddleware:
    """Logs each request when its response has ended. Add it outside of the middleware that sets the request id."""

    def __init__(self, app: ASGIApp, *, clock: Callable[[], float] = time.perf_counter) -> None:
        self.app = app
        self.clock = clock
        _log.setLevel(logging.INFO)  # the access log has a setting of its own, which log_level does not override

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        sent = _Sent()
        notes = RequestNotes()
        token = NOTES.set(notes)
        started = self.clock()

        async def send_and_count(message: Message) -> None:
            sent.count(message)
            await send(message)

        try:
            await self.app(scope, receive, send_and_count)
        finally:
            NOTES.reset(token)
            _write(scope, sent, notes, self.clock() - started)


class _Sent:
    """The part of a response that was sent."""

    def __init__(self) -> None:
        self.status: int | None = None
        self.bytes = 0
        self.complete = False

    def count(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        elif message["type"] == "http.response.body":
            self.bytes += len(message.get("body", b""))
            self.complete = not message.get("more_body", False)


def _write(scope: Scope, sent: _Sent, notes: RequestNotes, seconds: float) -> None:
    state, caller = scope.get("state", {}), caller_of(scope)
    _log.info(
        "request",
        extra=fields(
            request_id=state.get("request_id"),
            key_id=None if caller is None else caller.owner or caller.name,
            method=scope["method"],
            route=getattr(scope.get("route"), "path", "unmatched"),
            status=sent.status,
            error=state.get("error_code"),
            ms=round(1000 * seconds, 2),
            bytes=sent.bytes,
            incomplete=None if sent.complete else True,
            model=notes.model,
            inputs=notes.inputs or None,
            job_id=scope.get("path_params", {}).get("job_id"),
        ),
    )
