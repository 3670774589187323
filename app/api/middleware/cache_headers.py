"""The headers `x-cache` and `x-cache-hits`: whether an answer comes from the cache of answers."""

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.wire.disconnect import CACHE_HITS


class CacheHeadersMiddleware:
    """Sets the headers on answers of models, in every dialect.

    `x-cache` is `hit` if all inputs were answered from the cache, `partial` for some and `miss` for none;
    `x-cache-hits` is their number. A stream has neither: its headers are sent before its first line is read.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            counted = scope.get("state", {}).get(CACHE_HITS)
            if message["type"] == "http.response.start" and counted is not None:
                hits, inputs = counted
                headers = MutableHeaders(scope=message)
                headers["x-cache"] = "miss" if hits == 0 else "hit" if hits == inputs else "partial"
                headers["x-cache-hits"] = str(hits)
            await send(message)

        await self.app(scope, receive, send_with_headers)
