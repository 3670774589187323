"""The connections of one server: how many there may be, and which one makes room for another."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

MAX_HEADER_BYTES = 64 * 1024
MAX_HEADERS = 256  # fields of one request; an object of each costs more memory than its bytes

_WARNING_PAUSE = 60.0  # seconds between two warnings of the same kind

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ConnectionLimits:
    """`connections` at once; the other fields are in seconds.

    header_timeout: from the first byte of a request, or from the beginning of a connection, to the end of the headers.
    keep_alive_timeout: between an answer and the next request.
    write_timeout: during which a client that is being answered may read nothing.
    """

    connections: int = 8192
    header_timeout: float = 30.0
    keep_alive_timeout: float = 75.0
    write_timeout: float = 60.0


class Connection(Protocol):
    def close_idle(self) -> None:
        """Closes the connection, on which no request is under way."""


class Connections:
    """Counts the open connections and keeps the idle ones in the order in which they became idle.

    A new connection beyond the limit takes the place of the one that has been idle for longest. So connections
    that send nothing do not shut out others.
    """

    def __init__(self, limits: ConnectionLimits, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.limits = limits
        self._clock = clock
        self._open: set[Connection] = set()
        self._idle: dict[Connection, None] = {}  # longest idle first
        self._warned = -_WARNING_PAUSE

    def add(self, connection: Connection) -> bool:
        """Whether there is room for the new connection."""
        if len(self._open) >= self.limits.connections and not self._make_room():
            return False
        self._open.add(connection)
        self._idle[connection] = None
        return True

    def remove(self, connection: Connection) -> None:
        self._open.discard(connection)
        self._idle.pop(connection, None)

    def set_busy(self, connection: Connection) -> None:
        self._idle.pop(connection, None)

    def set_idle(self, connection: Connection) -> None:
        if connection in self._open:
            self._idle[connection] = None

    def _make_room(self) -> bool:
        oldest = next(iter(self._idle), None)
        now = self._clock()
        if now - self._warned >= _WARNING_PAUSE:
            self._warned = now
            _log.warning(
                "all %d connections that the server may have are in use (CLOZE_MAX_CONNECTIONS, and the limit of open "
                "files): %s",
                self.limits.connections,
                "new ones get 503" if oldest is None else "idle ones are closed for new ones",
            )
        if oldest is None:
            return False
        self.remove(oldest)
        oldest.close_idle()
        return True
