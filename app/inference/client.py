"""The side that waits for an answer, and may leave before it comes."""

from collections.abc import Coroutine
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Client(Protocol):
    async def while_connected(self, work: Coroutine[Any, Any, T]) -> T:
        """Returns the result of `work`, which is cancelled if the client leaves first; then an exception tells so."""
        ...

    def note_model(self, name: str) -> None:
        """Receives the name of the model that is to answer, without its version."""
        ...

    def note_hits(self, hits: int, inputs: int) -> None:
        """Is told how many of some inputs were answered from the cache of answers, where there is one."""
        ...


class LocalClient:
    """A caller in this process, which never leaves."""

    async def while_connected(self, work: Coroutine[Any, Any, T]) -> T:
        return await work

    def note_model(self, name: str) -> None:
        pass

    def note_hits(self, hits: int, inputs: int) -> None:
        pass
