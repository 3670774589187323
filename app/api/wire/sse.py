"""Server-sent events, as the HTML standard defines their text (section 9.2.5)."""

from collections.abc import AsyncIterator

from starlette.responses import StreamingResponse

MEDIA_TYPE = "text/event-stream"
HEARTBEAT = b": nothing new\n\n"  # a comment; it keeps proxies from closing a silent connection
RETRY = b"retry: 1000\n\n"  # milliseconds until a client that lost the connection comes back


def message(event: str, data: str, id: str | None = None) -> bytes:
    """data: one line. id: what the client sends as `Last-Event-ID` when it comes back."""
    line = f"id: {id}\n" if id else ""
    return f"{line}event: {event}\ndata: {data}\n\n".encode()


def stream(messages: AsyncIterator[bytes]) -> StreamingResponse:
    # The second header asks nginx, and what follows its custom, to pass each message on at once.
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return StreamingResponse(messages, media_type=MEDIA_TYPE, headers=headers)
