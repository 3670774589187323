"""Lines of a body, read while it arrives."""

from collections.abc import AsyncIterator, Iterator, Sequence

from starlette.requests import ClientDisconnect
from starlette.types import Receive

_CHUNK_BYTES = 1 << 20  # of lines in one chunk; a longer line is a chunk of its own


async def read_lines(receive: Receive, limit: int) -> AsyncIterator[list[bytes | None]]:
    """Yields the lines of a body as they arrive, without empty ones. A line longer than `limit` bytes becomes None."""
    parts: list[bytes] = []  # of a line whose end has not arrived yet
    length = 0
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        more = message.get("more_body", False)
        pieces = message.get("body", b"").split(b"\n") + ([] if more else [b""])
        found: list[bytes | None] = []
        for place, piece in enumerate(pieces):
            length += len(piece)
            if length <= limit:
                parts.append(piece)
            else:
                parts.clear()
            if place < len(pieces) - 1:
                found.extend(_join_line(parts, length > limit))
                parts, length = [], 0
        if found:
            yield found


def split_chunks(lines: Sequence[bytes | None], most: int) -> Iterator[Sequence[bytes | None]]:
    """Splits lines into chunks of at most `most` lines and _CHUNK_BYTES bytes."""
    start = size = 0
    for place, line in enumerate(lines):
        size += len(line or b"")
        if place > start and (place - start == most or size > _CHUNK_BYTES):
            yield lines[start:place]
            start, size = place, len(line or b"")
    yield lines[start:]


def _join_line(parts: Sequence[bytes], too_long: bool) -> Iterator[bytes | None]:
    line = b"".join(parts)
    if too_long:
        yield None
    elif line.strip():
        yield line
