"""Refuses requests for inference while the queue is full, before their bodies are read."""

from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.errors import error_response
from app.api.wire.content_type import NDJSON, media_type
from app.errors import Busy

_PATHS = frozenset({"/v1/embeddings", "/v1/fill-mask", "/v1/score", "/v1/reconstruct"})
_HUGGING_FACE = "/models/"


class AdmissionMiddleware:
    """Answers 429 where a request cannot be admitted: each needs a place in the queue, for one input at least.

    refusal: what a request is refused with beside so many others that are under way; None if there may be room.

    A request that is still being read holds no place yet. It is counted all the same: otherwise a crowd would come in
    at once, to be refused one by one after it has been read. Streams wait for places and are never refused.
    """

    def __init__(self, app: ASGIApp, refusal: Callable[[int], Busy | None]) -> None:
        self.app = app
        self._refusal = refusal
        self._under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not _needs_place(scope):
            await self.app(scope, receive, send)
            return
        refusal = self._refusal(self._under_way)
        if refusal is not None:
            await error_response(scope, refusal)(scope, receive, send)
            return
        self._under_way += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self._under_way -= 1


def _needs_place(scope: Scope) -> bool:
    if scope["type"] != "http" or scope["method"] != "POST":
        return False
    path = scope["path"].rstrip("/")
    return (path in _PATHS or path.startswith(_HUGGING_FACE)) and media_type(Headers(scope=scope)) != NDJSON
