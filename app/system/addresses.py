"""The rule against server-side request forgery: which URLs and addresses a user may make this server connect to.

It applies to media that requests name by URL, and to remote files and webhooks of jobs. A name is resolved once, all
its addresses are checked, and the connection goes to a checked address. A later DNS answer therefore changes nothing.
"""

import ipaddress
import re
import socket
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from urllib.parse import SplitResult, unquote, urlsplit

Address = IPv4Address | IPv6Address

Resolver = Callable[[str, int], Sequence[str]]

DEFAULT_PORTS = {"http": 80, "https": 443}
FIRST_FREE_PORT = 1024  # lower ports belong to other protocols: mail, remote shells, databases

# The only unicast addresses that IANA has allocated to the internet. It excludes loopback, unspecified, IPv4-mapped,
# IPv4-compatible, NAT64 (64:ff9b::/96 and 64:ff9b:1::/48), unique local, link-local, site-local and multicast ones.
_GLOBAL_UNICAST = IPv6Network("2000::/3")
_IPV6_EXCEPTIONS = (
    IPv6Network("2001::/23"),  # protocol assignments: Teredo, benchmarks, ORCHID
    IPv6Network("2001:db8::/32"),  # documentation
    IPv6Network("2002::/16"),  # 6to4: leads to the embedded IPv4 address
    IPv6Network("3fff::/20"),  # documentation
)
_IPV4_EXCEPTIONS = (
    IPv4Network("192.0.0.0/24"),  # protocol assignments; Python calls two of its addresses global
    IPv4Network("192.88.99.0/24"),  # relays of 6to4
)
_ISATAP = (0x00005EFE, 0x02005EFE)  # bits 64 to 95 of an address whose last 32 bits are an IPv4 address
_PRIVATE_NAMES = ("localhost", "local", "internal", "home.arpa", "localdomain")
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)", re.ASCII)
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f-\x9f\\]")
_MAX_HOST = 253  # characters of a DNS name


class PrivateAddress(Exception):
    """A host that may not be connected to."""


@dataclass(frozen=True)
class HttpUrl:
    """A checked URL.

    host: the host in lower-case ASCII, without brackets. port: the port, or the default of the scheme.
    """

    parts: SplitResult
    host: str
    port: int

    @property
    def name(self) -> str:
        """The host, with the port if it is not the scheme's default."""
        return self.host if self.port == DEFAULT_PORTS[self.parts.scheme] else f"{self.host}:{self.port}"

    def is_among(self, hosts: Collection[str]) -> bool:
        """Tells whether a list of names such as `example.org` and `example.org:8443` contains the host and port."""
        return self.name in {host.lower() for host in hosts}


def parse_http_url(url: str) -> HttpUrl:
    """Parses a URL and checks it without DNS. Raises ValueError with a message for the user."""
    if _FORBIDDEN.search(url):
        raise ValueError("a URL must not contain spaces, control characters or backslashes")
    parts = urlsplit(url)
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname:
        raise ValueError("expected an http or https URL with a host, such as https://example.org/path")
    if "@" in parts.netloc:
        raise ValueError("a URL must not contain a user name or a password")
    port = DEFAULT_PORTS[parts.scheme] if parts.port is None else parts.port
    if port not in DEFAULT_PORTS.values() and port < FIRST_FREE_PORT:
        raise ValueError(f"the port must be 80, 443 or at least {FIRST_FREE_PORT}, not {port}")
    return HttpUrl(parts, _normalize_host(parts.hostname), port)


def has_dot_segment(path: str) -> bool:
    """Tells whether a part of a path is `.` or `..`, also if it is percent-encoded.

    Servers and proxies resolve such parts, so the path would name another folder than it seems to.
    """
    return any(part in (".", "..") for part in re.split(r"[/\\]", unquote(path)))


def is_public(address: Address) -> bool:
    """Tells whether an address is certainly on the public internet.

    Private, shared (CGNAT), loopback, link-local, multicast, benchmark, reserved and unspecified addresses are not.
    IPv6 addresses that embed an IPv4 address (mapped, compatible, 6to4, Teredo, ISATAP, NAT64) are not either, because
    they lead to that address.
    """
    if isinstance(address, IPv6Address):
        if address not in _GLOBAL_UNICAST or any(address in network for network in _IPV6_EXCEPTIONS):
            return False
        if (int(address) >> 32) & 0xFFFFFFFF in _ISATAP:
            return False
    elif any(address in network for network in _IPV4_EXCEPTIONS):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def resolve(host: str, port: int) -> list[str]:
    """Resolves a name with the system's resolver, which has its own timeout. Raises OSError."""
    return [str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def resolve_public(
    host: str, port: int, *, resolver: Resolver = resolve, permitted: Callable[[Address], bool] = is_public
) -> list[Address]:
    """Returns the addresses of a host, at least one, to connect to without asking DNS again.

    resolver, permitted: replaced in tests.

    Raises:
        PrivateAddress: An address of the host is not permitted, or it has none.
        OSError: The name cannot be resolved.
    """
    addresses = [ipaddress.ip_address(found.partition("%")[0]) for found in resolver(host, port)]
    if not addresses or not all(map(permitted, addresses)):
        raise PrivateAddress(f"{host} leads to a private address")
    return addresses


def parse_address(text: str) -> Address | None:
    """Parses an IP address; returns None for a name. Accepts connect()'s older forms: `127.1`, `0x7f000001`."""
    try:
        return ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        pass
    try:
        return IPv4Address(socket.inet_aton(text))
    except (OSError, ValueError):  # ValueError: a null character
        return None


def is_private_host(host: str) -> bool:
    """Tells whether a host is private, as far as that is known without DNS."""
    address = parse_address(host)
    if address is not None:
        return not is_public(address)
    name = host.lower().rstrip(".")
    return any(name == private or name.endswith(f".{private}") for private in _PRIVATE_NAMES)


def _normalize_host(host: str) -> str:
    """Converts a host to ASCII. Raises ValueError if it is neither an address nor a valid DNS name."""
    if parse_address(host) is not None:
        return host
    try:
        name = host.encode("idna").decode("ascii").lower()
    except UnicodeError as error:
        raise ValueError(f"{host[:100]!r} is not a valid host name") from error
    labels = name.removesuffix(".").split(".")
    if len(name) > _MAX_HOST or not all(map(_LABEL.fullmatch, labels)):
        raise ValueError(f"{host[:100]!r} is not a valid host name")
    return name.removesuffix(".")
