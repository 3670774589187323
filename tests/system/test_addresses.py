import ipaddress

import pytest

from app.system.addresses import PrivateAddress, is_private_host, is_public, parse_http_url, resolve_public

NOT_PUBLIC = {
    "unspecified": ["0.0.0.0", "0.1.2.3", "::"],
    "loopback": ["127.0.0.1", "127.255.255.254", "::1"],
    "private": ["10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "fc00::1", "fd12::1"],
    "link-local": ["169.254.169.254", "fe80::1"],
    "site-local": ["fec0::1", "feff::1"],
    "shared (CGNAT)": ["100.64.0.1", "100.127.255.255"],
    "benchmarks": ["198.18.0.1", "198.19.255.255", "2001:2::1"],
    "documentation": ["192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1", "3fff::1"],
    "protocol assignments": ["192.0.0.9", "192.0.0.170", "192.88.99.1", "2001:20::1"],
    "multicast": ["224.0.0.1", "239.255.255.250", "ff02::1", "ff0e::1"],
    "reserved": ["240.0.0.1", "255.255.255.255", "4000::1", "100::1", "5f00::1"],
    "mapped": ["::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:8.8.8.8"],
    "compatible": ["::127.0.0.1", "::8.8.8.8"],
    "6to4": ["2002:7f00:1::", "2002:a00:1::1", "2002:808:808::1"],
    "Teredo": ["2001:0:a00:1::1", "2001::1"],
    "ISATAP": ["2606:4700::5efe:a00:1", "2606:4700::200:5efe:a00:1"],
    "NAT64": ["64:ff9b::a00:1", "64:ff9b::a9fe:a9fe", "64:ff9b::808:808", "64:ff9b:1::a00:1", "64:ff9b:1:ffff::1"],
}
PUBLIC = ["1.1.1.1", "8.8.8.8", "9.255.255.255", "100.63.255.255", "198.17.0.1", "2606:4700:4700::1111", "2a00::1"]


@pytest.mark.parametrize("address", [address for group in NOT_PUBLIC.values() for address in group])
def test_addresses_that_are_not_public(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))
    assert is_private_host(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_addresses_that_are_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))
    assert not is_private_host(address)


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST", "a.localhost", "localhost.", "printer.local", "db.internal", "nas.home.arpa",
     "127.1", "0x7f000001", "2130706433", "0177.0.0.1", "fe80::1%eth0"],
)  # fmt: skip
def test_hosts_that_are_private_without_asking_dns(host: str) -> None:
    assert is_private_host(host)


@pytest.mark.parametrize("host", ["example.org", "local.example.org", "mylocalhost", "internal.org"])
def test_other_names_are_left_to_dns(host: str) -> None:
    assert not is_private_host(host)


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("http://example.org", "example.org", 80),
        ("https://Example.ORG./hook?a=b#c", "example.org", 443),
        ("https://example.org:8443/", "example.org", 8443),
        ("https://example.org:80/", "example.org", 80),
        ("http://[2606:4700::1]:8000/", "2606:4700::1", 8000),
        ("https://bücher.example/", "xn--bcher-kva.example", 443),
        ("http://１２７.0.0.1/", "127.0.0.1", 80),  # full-width digits, as resolvers read them
        ("http://my_host/", "my_host", 80),
    ],
)
def test_urls_that_are_taken(url: str, host: str, port: int) -> None:
    found = parse_http_url(url)
    assert (found.host, found.port) == (host, port)


@pytest.mark.parametrize(
    "url",
    [
        "", "example.org", "//example.org/", "http://", "http:///path", "https://?x", "ftp://example.org/",
        "file:///etc/passwd", "http://a b/", "http://a/b c", " http://example.org/", "http://example.org/\n",
        "http://a\0b/", "http://a..b/", "http://.a/", "http://-a/", "http://a-/", "http://a%20b/", "http://a,b/",
        "http://a$b/", "http://user@example.org/", "http://user:pass@example.org/", "http://@example.org/",
        r"http://good\@evil/", "http://[::1/", "http://[x]/", "http://example.org:http/", "http://example.org:0/",
        "http://example.org:22/", "http://example.org:25/", "http://example.org:65536/",
        f"http://{'a' * 64}.org/", f"http://{'a.' * 130}org/",
    ],
)  # fmt: skip
def test_urls_that_cannot_be(url: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_http_url(url)


def test_a_host_is_resolved_once_and_every_address_is_checked() -> None:
    found = resolve_public("a.test", 443, resolver=lambda host, port: ["1.1.1.1", "2606:4700::1111%eth0"])
    assert [str(address) for address in found] == ["1.1.1.1", "2606:4700::1111"]
    for addresses in (["1.1.1.1", "10.0.0.1"], []):
        with pytest.raises(PrivateAddress, match=r"a\.test"):
            resolve_public("a.test", 443, resolver=lambda host, port, found=addresses: found)
