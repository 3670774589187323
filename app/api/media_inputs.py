"""Media among the inputs of a request: data URIs, typed inputs, and addresses that are allowed."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from fastapi import Request

from app.api.deps import Services
from app.api.wire.disconnect import while_connected
from app.errors import AppError, TooLarge
from app.media.data_uris import decode_base64, parse_data_uri
from app.media.fetch import fetch
from app.serving.steps import together

_AT_ONCE = 4  # addresses of one request
_FILES = 4  # times the size of a body is what all of them may have

T = TypeVar("T")

# type → where its data URI, base64 or address stands; OpenAI's names, and those that other servers made after them.
TYPED = {"image_url": "url", "audio_url": "url", "video_url": "url", "input_audio": "data"}


@dataclass(frozen=True)
class RemoteMedia:
    """A file that the request names by its address only."""

    url: str


def text_or_media(text: str) -> str | bytes:
    """The bytes of a data URI of media; every other string is a text and stays one. Raises InvalidData, TooLarge."""
    try:
        content = parse_data_uri(text)
    except AppError as error:
        error.param = "input"
        raise
    return text if content is None else content


def media(value: object) -> bytes | RemoteMedia:
    """A file as a data URI, base64, or a typed input. Raises ValueError for anything else, InvalidData, TooLarge."""
    if isinstance(value, str) and value:
        return _bytes(value)
    if isinstance(value, Mapping):
        return typed_media(value)
    raise ValueError("expected a file, as a data URI, in base64, or as a typed input")


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


async def fetch_all(
    services: Services, inputs: Sequence[T | RemoteMedia], request: Request | None = None
) -> list[T | bytes]:
    """The inputs with every address replaced by its content. Raises what `fetch` raises, and TooLarge.

    A few are fetched at once, and none any more once one has failed or the client of `request` has left.
    """
    contents: dict[int, bytes] = {}
    waiting = iter([(place, each.url) for place, each in enumerate(inputs) if isinstance(each, RemoteMedia)])

    async def work() -> None:
        for place, url in waiting:
            try:
                contents[place] = await _content(services, url)
            except AppError as error:
                error.index = place if len(inputs) > 1 else None
                raise
            if sum(map(len, contents.values())) > _FILES * services.settings.max_body_bytes:
                raise TooLarge(
                    f"the addresses of one request may have {_FILES * services.settings.max_body_bytes} bytes in all",
                    param="input",
                )

    if any(isinstance(each, RemoteMedia) for each in inputs):
        fetching = together(work() for _ in range(_AT_ONCE))
        await (fetching if request is None else while_connected(request, fetching))
    return [contents.get(place, b"") if isinstance(each, RemoteMedia) else each for place, each in enumerate(inputs)]


async def _content(services: Services, url: str) -> bytes:
    settings = services.settings
    work = partial(
        fetch,
        url,
        allowed_hosts=settings.media_hosts,
        max_bytes=settings.max_body_bytes,
        timeout=settings.media_timeout,
    )
    try:
        return await asyncio.get_running_loop().run_in_executor(services.fetching, work)
    except AppError as error:
        error.param = "input"
        raise
