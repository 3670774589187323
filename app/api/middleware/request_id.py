"""Request ids, and the handler of last resort: no exception leaves the server as a traceback."""

import asyncio
import logging
import re
import uuid

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.errors import error_response, internal_error
from app.errors import NotReady
from app.system.log_format import add_log_fields

HEADER = "x-request-id"

_ACCEPTED = re.compile(r"[A-Za-z0-9._:/-]{1,128}", re.ASCII)
_log = logging.getLogger(__name__)


class RequestIdMiddleware:
    """Sets `x-request-id` on every response: the client's, if it is well-formed, else a new one.

    Answers 500 to an exception that no other handler has caught. in_log: whether each line of the log of a request
    gets its id as a field.
    """

    def __init__(self, app: ASGIApp, *, in_log: bool = False) -> None:
        self.app = app
        self.in_log = in_log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = Headers(scope=scope).get(HEADER, "")
        request_id = given if _ACCEPTED.fullmatch(given) else uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id
        if self.in_log:
            add_log_fields(request_id=request_id)
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
            # The server is stopping, and the request's grace period is over.
            if not started:
                stopping = error_response(scope, NotReady("the server is shutting down"))
                await stopping(scope, receive, send_with_id)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException:  # a panic of Rust code is not an Exception
            _log.exception("%s %s failed [%s]", scope["method"], scope["path"], request_id)
            if started:
                raise  # the response has started, so the server can only close the connection
            await internal_error(scope)(scope, receive, send_with_id)
