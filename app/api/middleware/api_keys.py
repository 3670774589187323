"""API keys: `Authorization: Bearer KEY`, required if there are any. Checks the scope of the route too."""

import contextlib

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.access.guard import KeyGuard
from app.access.keys import PREFIX, Caller
from app.api.errors import error_response
from app.api.route_scopes import RouteScope, find_scope
from app.errors import Forbidden, NotReady, Unauthorized

CALLER = "caller"  # the entry of a request's state that holds who sent it

_MAX_KEY = 1024  # characters; longer ones are not hashed


class ApiKeyMiddleware:
    """Answers 401 to requests without a valid key, and 403 to those whose key lacks the scope of the route.

    While there is no key, the header is ignored, because Hugging Face's client sends the user's hub token to every
    server. It is never logged. The caller is stored in the state of the request.
    """

    def __init__(self, app: ASGIApp, guard: KeyGuard) -> None:
        self.app = app
        self._guard = guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or self._guard.is_open:
            await self.app(scope, receive, send)
            return
        needed = find_scope(scope["method"], scope["path"])
        if needed == "open":
            await self.app(scope, receive, send)
            return
        try:
            caller = await self._guard.authenticate(_read_secret(scope))
            _check_scope(caller, needed)
        except (Unauthorized, Forbidden, NotReady) as error:
            await error_response(scope, error)(scope, receive, send)
            return
        scope.setdefault("state", {})[CALLER] = caller
        if caller.owner is None:
            await self.app(scope, receive, send)
        else:
            await self._run_while_valid(caller, scope, receive, send)

    async def _run_while_valid(self, caller: Caller, scope: Scope, receive: Receive, send: Send) -> None:
        """Ends a long answer, such as a stream of events, at its next part once the key is revoked or has expired."""

        async def send_while_valid(message: Message) -> None:
            continues = message["type"] == "http.response.body" and message.get("more_body")
            if continues and not self._guard.is_valid(caller):
                await send({"type": "http.response.body", "body": b"", "more_body": False})
                raise _KeyEnded
            await send(message)

        with contextlib.suppress(_KeyEnded):
            await self.app(scope, receive, send_while_valid)


class _KeyEnded(Exception):
    """Stops the route of a request whose key is not valid any more."""


def _read_secret(scope: Scope) -> bytes:
    """Returns the key of a request. Raises Unauthorized."""
    given = Headers(scope=scope).getlist("authorization")
    scheme, _, key = given[0].partition(" ") if len(given) == 1 else ("", "", "")
    key = key.strip()
    if scheme.lower() == "bearer" and 0 < len(key) <= _MAX_KEY:
        return key.encode("latin-1")
    message = "this server requires an API key: send `Authorization: Bearer KEY`"
    if PREFIX.encode() in scope.get("query_string", b""):
        message += ". A key in the address is not accepted, because addresses are logged: revoke the key"
    raise Unauthorized(message)


def _check_scope(caller: Caller, needed: RouteScope | None) -> None:
    """Raises Forbidden. A path without a route is answered with 404 later."""
    if needed is None or needed == "open" or needed == "any" or caller.may(needed):
        return
    has = ", ".join(sorted(caller.scopes))
    raise Forbidden(f"this request needs an API key with the scope `{needed}`; the key {caller.name!r} has {has}")


def caller_of(scope: Scope) -> Caller | None:
    """Returns who sent a request. None: a server that needs no key, or a route that needs none."""
    caller: Caller | None = scope.get("state", {}).get(CALLER)
    return caller
