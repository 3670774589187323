"""The servers that are to keep a model in memory, where several servers share more models than one can hold."""

from collections.abc import Sequence
from functools import lru_cache

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.wire.disconnect import MODEL
from app.system.rendezvous import choose_nodes

_KNOWN = 4096  # models whose servers are remembered


class ModelPlacement:
    """Places models on servers. All versions of a name are on the same ones.

    servers: addresses of all servers. count: of the servers of one model.
    """

    def __init__(self, servers: Sequence[str], count: int) -> None:
        self._servers, self._count = servers, count
        self.servers_of = lru_cache(_KNOWN)(self._choose)

    def _choose(self, name: str) -> tuple[str, ...]:
        """Returns the addresses of a model's servers, the first choice first."""
        return tuple(choose_nodes(name, self._servers, self._count))


class ModelServersMiddleware:
    """Sets `x-model-servers` on answers of models, in every dialect: a proxy may send the next request there."""

    def __init__(self, app: ASGIApp, placement: ModelPlacement) -> None:
        self.app = app
        self._placement = placement

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_header(message: Message) -> None:
            name = scope.get("state", {}).get(MODEL)
            if message["type"] == "http.response.start" and name is not None:
                MutableHeaders(scope=message)["x-model-servers"] = ", ".join(self._placement.servers_of(name))
            await send(message)

        await self.app(scope, receive, send_with_header)
