"""Writes the log of changes: one entry for every request that has changed jobs, files, models or keys."""

import asyncio
import logging

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.access.audit import AuditedChange, AuditLog
from app.api.middleware.api_keys import caller_of
from app.api.route_scopes import find_scope
from app.api.wire.body import parse_json
from app.errors import AppError
from app.jobs.connection import StorageError

_METHODS = frozenset({"DELETE", "PATCH", "POST", "PUT"})
_SCOPES = ("jobs", "models", "admin")
_CHECKS = "/validate"  # the end of paths that only check a request
_MAX_BODY = 64 * 1024  # bytes of an answer that is read for the id of a new object

_log = logging.getLogger(__name__)


class AuditMiddleware:
    """Writes an entry once a change has succeeded. If the log cannot be written, the server's log has the entry."""

    def __init__(self, app: ASGIApp, log: AuditLog) -> None:
        self.app = app
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not _changes(scope):
            await self.app(scope, receive, send)
            return
        status, answer = 500, b""

        async def send_and_read(message: Message) -> None:
            nonlocal status, answer
            if message["type"] == "http.response.start":
                status = message["status"]
            elif len(answer) <= _MAX_BODY:
                answer += message.get("body", b"")
            await send(message)

        try:
            await self.app(scope, receive, send_and_read)
        finally:  # the client may leave before the answer is sent
            if status < 400:
                await asyncio.shield(asyncio.to_thread(self._write, _describe(scope, answer)))

    def _write(self, change: AuditedChange) -> None:
        try:
            self._log.append(change)
        except StorageError as error:
            _log.warning("the log of changes cannot be written (%s): %s", error, change.model_dump_json())


def _changes(scope: Scope) -> bool:
    if scope["type"] != "http" or scope["method"] not in _METHODS or scope["path"].endswith(_CHECKS):
        return False
    return find_scope(scope["method"], scope["path"]) in _SCOPES


def _describe(scope: Scope, answer: bytes) -> AuditedChange:
    caller = caller_of(scope)
    named = "/".join(str(value) for value in scope.get("path_params", {}).values())
    endpoint = getattr(scope.get("endpoint"), "__name__", None)
    client = scope.get("client")
    return AuditedChange(
        action=endpoint or scope["method"].lower(),
        method=scope["method"],
        path=scope["path"],
        object_id=named or _read_id(answer),
        key_id=caller.owner if caller else None,
        key_name=caller.name if caller else None,
        request_id=scope.get("state", {}).get("request_id"),
        address=client[0] if client else None,
    )


def _read_id(answer: bytes) -> str | None:
    """Returns the id of the object that an answer describes. Reads nothing else of it."""
    try:
        body = parse_json(answer) if len(answer) <= _MAX_BODY else None
    except AppError:
        return None
    found = body.get("id") if isinstance(body, dict) else None
    return found if isinstance(found, str) else None
