"""The operator's rules for files of other servers that jobs read."""

from dataclasses import dataclass

from app.errors import Forbidden
from app.system.addresses import Address, HttpUrl, is_public


@dataclass(frozen=True)
class HostRule:
    """The hosts that a download may connect to, with its redirects.

    hosts: names such as `example.org` or `example.org:8443`. domains: every host of these may be a redirect's, over
    https. private: those of the hosts that may have private addresses.
    """

    hosts: tuple[str, ...]
    domains: tuple[str, ...] = ()
    private: tuple[str, ...] = ()

    def check(self, url: HttpUrl, *, redirected_from: str | None = None) -> None:
        """Raises Forbidden for a host that is not allowed. redirected_from: the host that redirects to it."""
        of_domain = any(url.name.endswith(f".{domain}") for domain in self.domains) and url.parts.scheme == "https"
        if url.is_among(self.hosts) or of_domain:
            return
        before = f"{redirected_from} redirects to {url.name}, which" if redirected_from else url.name
        raise Forbidden(f"{before} is not among the hosts that jobs may read from: {', '.join(self.hosts)}")

    def permits(self, url: HttpUrl, address: Address) -> bool:
        """Tells whether a connection for the URL may go to an address."""
        return is_public(address) or url.is_among(self.private)


@dataclass(frozen=True)
class RemoteAccess:
    """The rules for remote files. By default none may be read.

    hosts: of https:// and http:// files. buckets: of s3:// files. hub: whether hf:// files are allowed;
    organizations: their owners, or all if empty. allow_private: whether `hosts` may have private addresses.
    max_bytes: of one file; None: no limit.
    """

    hosts: tuple[str, ...] = ()
    buckets: tuple[str, ...] = ()
    hub: bool = False
    organizations: tuple[str, ...] = ()
    allow_private: bool = False
    max_bytes: int | None = None

    @property
    def http_rule(self) -> HostRule:
        return HostRule(self.hosts, private=self.hosts if self.allow_private else ())
