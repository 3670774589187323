"""Server-sent events, in the format of the HTML standard (section 9.2.5)."""

from collections.abc import AsyncIterator

from starlette.responses import StreamingResponse

MEDIA_TYPE = "text/event-stream"
HEARTBEAT = b": nothing new\n\n"  # a comment; it keeps proxies from closing an idle connection
RETRY = b"retry: 1000\n\n"  # milliseconds until a client reconnects


def message(event: str, data: str, id: str | None = None) -> bytes:
    """Formats a message. `data` is one line. The client sends `id` as `Last-Event-ID` when it reconnects."""
    line = f"id: {id}\n" if id else ""
    return f"{line}event: {event}\ndata: {data}\n\n".encode()


def stream(messages: AsyncIterator[bytes]) -> StreamingResponse:
    # The second header makes nginx and compatible proxies forward each message at once.
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return StreamingResponse(messages, media_type=MEDIA_TYPE, headers=headers)
