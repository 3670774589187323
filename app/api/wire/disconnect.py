"""Cancellation of work when its client disconnects."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive

CACHE_HITS = "cache_hits"  # of a request's state: inputs that were answered from the cache, and all inputs
MODEL = "model"  # the name of the model that answers, without its version

T = TypeVar("T")


async def while_connected(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Returns the result of `work`, or cancels it and raises ClientDisconnect if the client disconnects first.

    The request's body must have been read: the next message can only be the disconnect.
    """
    task = asyncio.ensure_future(work)
    watch = asyncio.ensure_future(wait_for_disconnect(request.receive))
    try:
        await asyncio.wait({task, watch}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise ClientDisconnect
    finally:
        task.cancel()
        watch.cancel()
        # Await cancelled tasks, so that their clean-up has finished when this returns.
        await asyncio.gather(task, watch, return_exceptions=True)


class HttpClient:
    """The client of a request, as `app.inference` knows it."""

    def __init__(self, request: Request) -> None:
        self._request = request

    async def while_connected(self, work: Coroutine[Any, Any, T]) -> T:
        """Raises ClientDisconnect."""
        return await while_connected(self._request, work)

    def note_model(self, name: str) -> None:
        """Keeps the name for the headers of the answer."""
        setattr(self._request.state, MODEL, name)

    def note_hits(self, hits: int, inputs: int) -> None:
        """Keeps the numbers for the headers of the answer. A request may run several tasks."""
        state = self._request.state
        before = getattr(state, CACHE_HITS, (0, 0))
        setattr(state, CACHE_HITS, (before[0] + hits, before[1] + inputs))


async def wait_for_disconnect(receive: Receive) -> None:
    """Returns once the client has disconnected. Its body must have been read."""
    while (await receive())["type"] != "http.disconnect":
        continue
