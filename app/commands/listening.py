"""The address that the server listens on: who can reach it, and whether that is allowed."""

import ipaddress
import os
import socket

from app.errors import Conflict, Forbidden
from app.settings import Settings


def check_exposure(settings: Settings) -> None:
    """Raises Forbidden where other machines could reach a server that asks for no key."""
    if settings.api_keys or settings.allow_open or is_loopback(settings.host):
        return
    raise Forbidden(
        f"CLOZE_HOST={settings.host} opens the server to other machines, and without CLOZE_API_KEYS everybody who "
        "reaches it can use, train and delete models: set CLOZE_API_KEYS, or CLOZE_ALLOW_OPEN=1 if that is wanted"
    )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the address or name."""
    try:
        addresses = {str(found[4][0]) for found in socket.getaddrinfo(host, None)}
    except OSError:
        return False  # it cannot be listened on either
    return all(ipaddress.ip_address(address.partition("%")[0]).is_loopback for address in addresses)


def describe_address(host: str, port: int) -> str:
    """The address as it is listened on, in words where it stands for many."""
    address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    return f"{address}, which is every address of this machine" if is_unspecified(host) else address


def is_unspecified(host: str) -> bool:
    try:
        return ipaddress.ip_address(host or "0.0.0.0").is_unspecified  # noqa: S104 - not bound here
    except ValueError:
        return False


def listen(host: str, port: int) -> socket.socket:
    """A bound socket, which does not listen yet. Raises Conflict."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # By the protocol's name asyncio knows to send at once; without it each answer waits some 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise Conflict(f"cannot listen on {host}:{port}: {reason}; set CLOZE_PORT to another port") from error
    return listener
