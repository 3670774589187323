"""Limits of API keys on requests, and the headers that tell of them."""

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.access.limiter import WINDOW, Admission, KeyLimiter
from app.api.errors import error_response
from app.api.middleware.api_keys import caller_of
from app.errors import NotReady

_POLICY = "requests"


class KeyLimitMiddleware:
    """Answers 429 to requests beyond the limits of their key. Keys without limits cost no call of Redis.

    The headers are those of draft-ietf-httpapi-ratelimit-headers-10: `RateLimit-Policy` has the quota `q` of a window
    of `w` seconds, and `RateLimit` the remaining requests `r` and the seconds `t` until the quota is restored.
    """

    def __init__(self, app: ASGIApp, limiter: KeyLimiter) -> None:
        self.app = app
        self._limiter = limiter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        caller = caller_of(scope)
        if caller is None or not (caller.limits.requests_per_minute or caller.limits.concurrency):
            await self.app(scope, receive, send)
            return
        try:
            admission = await self._limiter.admit(caller)
        except NotReady as error:
            await error_response(scope, error)(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start" and admission.limit:
                _add_headers(MutableHeaders(scope=message), admission)
            await send(message)

        if admission.refusal is not None:
            await error_response(scope, admission.refusal)(scope, receive, send_with_headers)
            return
        try:
            await self.app(scope, receive, send_with_headers)
        finally:
            self._limiter.release(admission)


def _add_headers(headers: MutableHeaders, admission: Admission) -> None:
    headers["ratelimit-policy"] = f'"{_POLICY}";q={admission.limit};w={WINDOW}'
    headers["ratelimit"] = f'"{_POLICY}";r={admission.remaining};t={admission.reset}'
