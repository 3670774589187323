import base64

import pytest

from app.errors import InvalidData, TooLarge
from app.media.data_uris import decode_base64, parse_data_uri
from app.media.limits import Limits
from tests.fakes.media import fixture

PNG = fixture("photo.png")
ENCODED = base64.b64encode(PNG).decode()


@pytest.mark.parametrize(
    "header", ["image/png", "IMAGE/PNG", "audio/ogg;codecs=opus", 'video/mp4;codecs="avc1.42, mp4a"']
)
def test_a_data_uri_gives_its_bytes(header: str) -> None:
    assert parse_data_uri(f"data:{header};base64,{ENCODED}") == PNG


@pytest.mark.parametrize(
    "text",
    ["", "data:", "data: the numbers of 2024", "data:text/plain;base64,aGk=", "data:image/png,abc", ENCODED,
     "see data:image/png;base64,aGk=", "data:" + "image/png;" * 100_000],
)  # fmt: skip
def test_any_other_text_is_just_a_text(text: str) -> None:
    assert parse_data_uri(text) is None


@pytest.mark.parametrize("bad", ["aGk", "aGk=\n", " aGk=", "a-k_", "aGk=aGk=", "ü", "%47"])
def test_base64_is_strict(bad: str) -> None:
    with pytest.raises(InvalidData, match="not valid base64"):
        parse_data_uri(f"data:image/png;base64,{bad}")
    with pytest.raises(InvalidData, match="not valid base64"):
        decode_base64(bad)


def test_it_is_measured_before_it_is_decoded() -> None:
    for size in (7, 8, 9):
        encoded = base64.b64encode(bytes(size)).decode()
        assert decode_base64(encoded, Limits(max_bytes=size)) == bytes(size)
    with pytest.raises(TooLarge, match="the base64 holds about 900 bytes; the limit of a file is 9"):
        parse_data_uri("data:image/png;base64," + "!" * 1200, Limits(max_bytes=9))
