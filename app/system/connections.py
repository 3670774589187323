"""Connections to addresses that were checked before."""

import io
import socket
import ssl
from collections.abc import Callable, Sequence

from app.system.addresses import Address


def connect(
    addresses: Sequence[Address], port: int, host: str, *, tls: bool, remaining: Callable[[], float]
) -> socket.socket:
    """Connects to the first address that answers. TLS verifies the certificate for `host`.

    remaining: returns the seconds that the next step may take; it may raise TimeoutError. Raises OSError.
    """
    failure: OSError = TimeoutError("no time left")
    for address in addresses:
        try:
            sock = socket.create_connection((str(address), port), timeout=remaining())
        except OSError as e:
            failure = e
            continue
        if not tls:
            return sock
        try:
            sock.settimeout(remaining())
            return ssl.create_default_context().wrap_socket(sock, server_hostname=host)
        except BaseException:
            sock.close()
            raise
    raise failure


class TimedSocket:
    """A socket for http.client. Each of its steps takes at most the time that is left.

    A timeout of single reads would never end a server that sends a byte now and then.

    remaining: returns the seconds that the next step may take; it may raise TimeoutError.
    """

    def __init__(self, sock: socket.socket, remaining: Callable[[], float]) -> None:
        self._sock, self._remaining = sock, remaining

    def sendall(self, data: bytes) -> None:
        self._sock.settimeout(self._remaining())
        self._sock.sendall(data)

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_TimedReader(self._sock, self._remaining))

    def close(self) -> None:
        """Does nothing: http.client calls it before it reads the content. Closing the response closes the socket."""


class _TimedReader(io.RawIOBase):
    """The bytes that a socket receives. It owns the socket."""

    def __init__(self, sock: socket.socket, remaining: Callable[[], float]) -> None:
        self._sock, self._remaining = sock, remaining

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        self._sock.settimeout(self._remaining())
        return self._sock.recv_into(buffer)

    def close(self) -> None:
        self._sock.close()
        super().close()
