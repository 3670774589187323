import pytest

from app.commands.listening import check_exposure, describe_address, is_loopback
from app.errors import Forbidden
from app.settings import Settings


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True)]
    + [(host, False) for host in ("0.0.0.0", "::", "192.168.1.7", "fe80::1", "::ffff:192.168.1.7", "no-such.invalid")],
)
def test_loopback(host: str, loopback: bool) -> None:
    assert is_loopback(host) == loopback


def test_other_machines_are_let_in_with_keys_or_on_purpose() -> None:
    for settings in ({"host": "127.0.0.1"}, {"api_keys": ("key",)}, {"allow_open": True}):
        check_exposure(Settings(**{"host": "0.0.0.0", **settings}))
    with pytest.raises(Forbidden, match=r"CLOZE_HOST=0\.0\.0\.0 .*CLOZE_API_KEYS.*CLOZE_ALLOW_OPEN=1"):
        check_exposure(Settings(host="0.0.0.0"))


def test_the_address_is_the_one_that_is_listened_on() -> None:
    assert describe_address("127.0.0.1", 80) == "http://127.0.0.1:80"
    assert describe_address("example.org", 80) == "http://example.org:80"
    assert describe_address("0.0.0.0", 80) == "http://0.0.0.0:80, which is every address of this machine"
    assert describe_address("::", 80).startswith("http://[::]:80, which is every")
