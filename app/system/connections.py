"""Connections to addresses that were checked before."""

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
