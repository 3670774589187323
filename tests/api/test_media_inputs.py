import base64

import pytest

from app.api.media_inputs import media, text_or_media, typed_media
from app.errors import InvalidData
from app.inference.remote_media import RemoteMedia

URI = "data:image/png;base64," + base64.b64encode(b"pixels").decode()


def test_only_data_uris_of_media_are_media() -> None:
    assert text_or_media(URI) == b"pixels"
    for text in ("a lion", "data: the new oil", "data:text/plain;base64,YQ==", "https://example.org/a.png", ""):
        assert text_or_media(text) == text


@pytest.mark.parametrize("kind", ["image_url", "audio_url", "video_url"])
def test_typed_inputs_are_openais(kind: str) -> None:
    assert typed_media({"type": kind, kind: {"url": URI, "detail": "low"}}) == b"pixels"
    assert typed_media({"type": kind, kind: URI}) == b"pixels"
    assert typed_media({"type": kind, kind: {"url": "https://a.example/b"}}) == RemoteMedia("https://a.example/b")


def test_spoken_input_is_plain_base64() -> None:
    assert typed_media({"type": "input_audio", "input_audio": {"data": "cGl4ZWxz", "format": "wav"}}) == b"pixels"
    assert media("cGl4ZWxz") == b"pixels"


@pytest.mark.parametrize(
    "value",
    [{}, {"type": "text", "text": "a"}, {"type": "image_url"}, {"type": "image_url", "image_url": {}}, {"type": []}],
)
def test_other_objects_are_no_media(value: object) -> None:
    with pytest.raises(ValueError, match="image_url"):
        media(value)


@pytest.mark.parametrize("value", [None, "", 3, [URI]])
def test_other_values_are_no_media(value: object) -> None:
    with pytest.raises(ValueError, match="expected a file"):
        media(value)


def test_broken_base64_names_the_field() -> None:
    for value in ("data:image/png;base64,!!", "!!"):
        with pytest.raises(InvalidData) as error:
            media(value)
        assert error.value.param == "input"
