"""The address that a webhook is sent to, under the rule of `app.system.addresses`."""

import asyncio
import socket
from ipaddress import ip_address

from app.system.addresses import is_public


class PrivateAddress(Exception):
    """A host that may not be connected to."""


async def resolve_public(host: str, port: int | None) -> str:
    """An address of the host, to connect to without asking DNS again. Every address of the host is public.

    Raises PrivateAddress if one is not, OSError if the host has no address.
    """
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [ip_address(str(info[4][0]).partition("%")[0]) for info in found]
    if not all(map(is_public, addresses)):
        raise PrivateAddress(f"{host} leads to a private address")
    return str(addresses[0])
