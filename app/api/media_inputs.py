"""Media among the inputs of a request: data URIs, typed inputs, and addresses."""

from collections.abc import Mapping
from typing import Any

from app.errors import AppError
from app.inference.remote_media import RemoteMedia
from app.media.data_uris import decode_base64, parse_data_uri

# The field of each type's object that holds its data URI, base64 or address. The names are OpenAI's, and those that
# other servers made after them.
TYPED = {"image_url": "url", "audio_url": "url", "video_url": "url", "input_audio": "data"}


def text_or_media(text: str) -> str | bytes:
    """The bytes of a data URI of media; every other string is a text and stays one. Raises InvalidData, TooLarge."""
    try:
        content = parse_data_uri(text)
    except AppError as error:
        error.param = "input"
        raise
    return text if content is None else content


def text_of(value: Mapping[str, Any]) -> str | None:
    """Returns the text of `{"text": …}` or `{"type": "text", "text": …}`; None for another object."""
    text = value.get("text")
    known = value.keys() <= {"type", "text"} and value.get("type", "text") == "text"
    return text if known and isinstance(text, str) else None


def media(value: object) -> bytes | RemoteMedia:
    """A file as a data URI, base64, or a typed input. Raises ValueError for anything else, InvalidData, TooLarge."""
    if isinstance(value, str) and value:
        return _bytes(value)
    if isinstance(value, Mapping):
        return typed_media(value)
    raise ValueError("expected a file as a data URI, in base64 or as a typed input")


def typed_media(value: Mapping[str, Any]) -> bytes | RemoteMedia:
    """`{"type": "image_url", "image_url": {"url": "data:…"}}` and its like; an address is not yet fetched."""
    kind = value.get("type")
    inner = value.get(kind) if isinstance(kind, str) and kind in TYPED else None
    given = inner.get(TYPED[str(kind)]) if isinstance(inner, Mapping) else inner
    if not isinstance(given, str) or not given:
        raise ValueError(
            'expected {"type": "image_url", "image_url": {"url": "data:…"}}, or the same as '
            + ", ".join(name for name in TYPED if name != "image_url")
        )
    if given.startswith(("http://", "https://")):
        return RemoteMedia(given)
    return _bytes(given)


def _bytes(text: str) -> bytes:
    """Decodes a data URI, or base64 alone."""
    found = text_or_media(text)
    if isinstance(found, bytes):
        return found
    try:
        return decode_base64(found)
    except AppError as error:
        error.param = "input"
        raise
