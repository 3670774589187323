"""An id for every request, and the last net under everything: no exception leaves the server raw."""

import asyncio
import logging
import re
import uuid

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.errors import error_response, internal_error
from app.errors import NotReady

HEADER = "x-request-id"

_ACCEPTED = re.compile(r"[A-Za-z0-9._:/-]{1,128}", re.ASCII)
_log = logging.getLogger(__name__)


class RequestIdMiddleware:
    """Takes the client's `x-request-id` if it is a harmless one, else makes one; answers with it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = Headers(scope=scope).get(HEADER, "")
        request_id = given if _ACCEPTED.fullmatch(given) else uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id
        started = False

        async def send_with_id(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                MutableHeaders(scope=message)[HEADER] = request_id
            await send(message)

        try:
            await self.app(scope, receive, send_with_id)
        except asyncio.CancelledError:
            # The server is stopping, and the request has had the time that it has then.
            if not started:
                stopping = error_response(scope, NotReady("the server is shutting down"))
                await stopping(scope, receive, send_with_id)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException:  # a panic in Rust is no Exception
            _log.exception("%s %s failed [%s]", scope["method"], scope["path"], request_id)
            if started:
                raise  # the server can only cut the connection now
            await internal_error(scope)(scope, receive, send_with_id)
