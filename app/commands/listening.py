"""The address that the server listens on, and the check that strangers cannot reach an open server."""

import ipaddress
import os
import socket

from app.errors import Conflict, Forbidden
from app.settings import Settings


def check_exposure(settings: Settings) -> None:
    """Raises Forbidden if other machines could reach a server without API keys."""
    if settings.api_keys or settings.require_keys or settings.allow_open or is_loopback(settings.host):
        return
    raise Forbidden(
        f"CLOZE_HOST={settings.host} opens the server to other machines, and without CLOZE_API_KEYS anyone who "
        "reaches it can use, train and delete models: set CLOZE_API_KEYS, or "
        "CLOZE_REQUIRE_KEYS=1 for the keys of `cloze keys`, or CLOZE_ALLOW_OPEN=1 to allow it"
    )


def is_loopback(host: str) -> bool:
    """Tells whether an address or name can be reached from this machine only."""
    try:
        addresses = {str(found[4][0]) for found in socket.getaddrinfo(host, None)}
    except OSError:
        return False  # listening on it will fail too
    return all(ipaddress.ip_address(address.partition("%")[0]).is_loopback for address in addresses)


def describe_address(host: str, port: int) -> str:
    """Formats the address. Explains one that stands for all addresses of the machine."""
    address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    return f"{address}, which is every address of this machine" if is_unspecified(host) else address


def is_unspecified(host: str) -> bool:
    try:
        return ipaddress.ip_address(host or "0.0.0.0").is_unspecified  # noqa: S104 - not bound here
    except ValueError:
        return False


def listen(host: str, port: int) -> socket.socket:
    """Returns a bound socket that does not listen yet. Raises Conflict if the address is in use."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sets TCP_NODELAY only for sockets with an explicit IPPROTO_TCP. Without it each response takes 40 ms more.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise Conflict(f"cannot listen on {host}:{port}: {reason}; set CLOZE_PORT to another port") from error
    return listener
