"""Which addresses a URL that a user gave may lead to: not into the operator's own network."""

import asyncio
import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052: the last 32 bits are an IPv4 address


class PrivateAddress(Exception):
    """A host that is not to be connected to."""


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether it is a host's of the internet at large; an IPv4 address within an IPv6 one counts by itself."""
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            inner = IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(inner)
    return address.is_global and not address.is_multicast


def is_private_host(host: str) -> bool:
    """What can be told without asking DNS."""
    try:
        return not is_public(ip_address(host))
    except ValueError:
        return host == "localhost" or host.endswith((".localhost", ".local", ".internal"))


async def public_address(host: str, port: int | None) -> str:
    """An address of the host, all of which are public, to connect to without asking DNS again.

    Raises PrivateAddress if one is not, OSError if the host has no address.
    """
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [ip_address(info[4][0]) for info in found]
    if not all(map(is_public, addresses)):
        raise PrivateAddress(f"{host} leads to a private address")
    return str(addresses[0])
