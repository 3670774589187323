"""Refuses requests for inference while the queue is full, before their bodies are read."""

from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.errors import error_response
from app.api.wire.content_type import NDJSON, media_type
from app.errors import Busy

_OWN = ("/v1/embeddings", "/v1/classify", "/v1/fill-mask", "/v1/score", "/v1/reconstruct")
_COMPARING = ("/v1/similarity", "/v1/rerank")
# Of other services' dialects.
_AT_ROOT = ("", "/embed", "/embed_all", "/embed_sparse", "/embeddings", "/predict", "/rerank", "/similarity")
_OTHERS = ("/v1/embed", "/v2/embed", "/v2/rerank", "/api/embed", "/api/embeddings")
_PATHS = frozenset({*_OWN, *_COMPARING, *_AT_ROOT, *_OTHERS})
_PREFIXES = ("/models/", "/tei/")


class AdmissionMiddleware:
    """Answers 429 to a request if the queue has no permit left for its first input.

    refusal: returns the error for one more request beside the given number in progress; None if there may be room.

    A request takes its permits after its body is read, but is counted from its headers on. Otherwise many requests
    could be read at once, only to be refused afterwards. Streams wait for permits and are never refused.
    """

    def __init__(self, app: ASGIApp, refusal: Callable[[int], Busy | None]) -> None:
        self.app = app
        self._refusal = refusal
        self._in_progress = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not _needs_permit(scope):
            await self.app(scope, receive, send)
            return
        refusal = self._refusal(self._in_progress)
        if refusal is not None:
            await error_response(scope, refusal)(scope, receive, send)
            return
        self._in_progress += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self._in_progress -= 1


def _needs_permit(scope: Scope) -> bool:
    if scope["type"] != "http" or scope["method"] != "POST":
        return False
    path = scope["path"].rstrip("/")
    return (path in _PATHS or path.startswith(_PREFIXES)) and media_type(Headers(scope=scope)) != NDJSON
