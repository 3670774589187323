"""The open connections of one server, and the limit on their number."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

MAX_HEADER_BYTES = 64 * 1024
MAX_HEADERS = 256  # fields of one request; each becomes an object that takes more memory than its bytes

_WARNING_PAUSE = 60.0  # seconds between two warnings of the same kind

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ConnectionLimits:
    """Limits on the connections of a server.

    connections: the number of connections open at once.
    header_timeout: seconds from the start of a connection, or the first byte of a request, to the end of its headers.
    keep_alive_timeout: seconds between a response and the next request.
    write_timeout: seconds for which a client may stop reading a response.
    """

    connections: int = 8192
    header_timeout: float = 30.0
    keep_alive_timeout: float = 75.0
    write_timeout: float = 60.0


class Connection(Protocol):
    def close_idle(self) -> None:
        """Closes a connection that has no request in progress."""


class Connections:
    """Counts open connections and closes idle ones to make room for new ones.

    A new connection beyond the limit replaces the one that has been idle for longest. Connections that send nothing
    therefore cannot block others.
    """

    def __init__(self, limits: ConnectionLimits, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.limits = limits
        self._clock = clock
        self._open: set[Connection] = set()
        self._idle: dict[Connection, None] = {}  # longest idle first
        self._warned = -_WARNING_PAUSE

    def add(self, connection: Connection) -> bool:
        """Registers a connection, closing an idle one if needed. Returns False if there is no room."""
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
                "all %d connections are in use (limited by CLOZE_MAX_CONNECTIONS and the limit of open files): %s",
                self.limits.connections,
                "new connections get 503" if oldest is None else "idle connections are closed to make room",
            )
        if oldest is None:
            return False
        self.remove(oldest)
        oldest.close_idle()
        return True
