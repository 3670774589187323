"""Single byte ranges (RFC 9110, section 14). A request for several ranges gets the whole content."""

import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping

from fastapi import Request
from fastapi.responses import FileResponse, Response, StreamingResponse
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from app.errors import AppError

_RANGE = re.compile(r"bytes=([0-9]*)-([0-9]*)")


class RangeNotSatisfiable(AppError):
    """The range starts after the end of the content. `size`: bytes of the content."""

    status = 416
    code = "range_not_satisfiable"
    type = "invalid_request_error"

    def __init__(self, message: str, *, size: int) -> None:
        super().__init__(message)
        self.size = size


def parse_range(header: str | None, size: int) -> tuple[int, int] | None:
    """Parses a `Range` header to (start, end), end exclusive. Returns None if the whole content is to be sent.

    Raises RangeNotSatisfiable for a range that starts after the end.
    """
    match = _RANGE.fullmatch(header.strip()) if header else None
    if match is None or not any(match.groups()):
        return None
    first, last = [_number(digits) if digits else None for digits in match.groups()]
    if first is None:
        start, end = max(0, size - (last or 0)), size
    else:
        start, end = first, size if last is None else min(size, last + 1)
        if last is not None and last < start:
            return None  # an invalid range is ignored
    if start >= end:
        requested = match.group()[:100]
        raise RangeNotSatisfiable(f"the range {requested!r} starts after the end of {size} bytes", size=size)
    return start, end


class RangedFile(FileResponse):
    """A file or a range of it, or 304 for a client that has it.

    Passes only valid ranges to starlette's FileResponse, which answers invalid ones in plain text.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.stat_result = self.stat_result or os.stat(self.path)
        self.set_stat_headers(self.stat_result)
        given = Headers(scope=scope)
        if is_known(given, self.headers["etag"]):
            await _not_modified(self.headers)(scope, receive, send)
            return
        validators = (self.headers["etag"], self.headers["last-modified"])
        part = wanted_range(given, self.stat_result.st_size, validators)
        headers = [each for each in scope["headers"] if each[0] not in (b"range", b"if-range")]
        if part is not None:
            headers.append((b"range", b"bytes=%d-%d" % (part[0], part[1] - 1)))
        await super().__call__({**scope, "headers": headers}, receive, send)


def wanted_range(headers: Headers, size: int, validators: Collection[str]) -> tuple[int, int] | None:
    """The range that a request asks for, as `parse_range` returns it; None if its `If-Range` is of other content.

    validators: the ETag and, where there is one, the date of the content. Raises RangeNotSatisfiable.
    """
    condition = headers.get("if-range")
    # The condition comes first: a range beyond the end is no error where the content is another.
    return parse_range(headers.get("range"), size) if condition is None or condition in validators else None


def is_known(headers: Headers, etag: str) -> bool:
    """Whether `If-None-Match` of a request names the content with this ETag."""
    known = [each.strip().removeprefix("W/") for each in headers.get("if-none-match", "").split(",")]
    return "*" in known or etag in known


def _not_modified(headers: Mapping[str, str]) -> Response:
    return Response(status_code=304, headers={k: v for k, v in headers.items() if not k.startswith("content-")})


def stream_range(
    request: Request,
    read: Callable[[int, int], Iterator[bytes]],
    *,
    size: int,
    etag: str,
    media_type: str,
    filename: str,
) -> Response:
    """Streams content of a known size, or a range of it; 304 for a client that has it.

    read: yields the bytes from a start to an end, exclusive. etag: with its quotes.
    Raises RangeNotSatisfiable.
    """
    if is_known(request.headers, etag):
        return _not_modified({"etag": etag})
    part = wanted_range(request.headers, size, [etag])
    start, end = part or (0, size)
    headers = {
        "accept-ranges": "bytes",
        "content-disposition": f'attachment; filename="{filename}"',
        "content-length": str(end - start),
        "etag": etag,
    }
    if part is not None:
        headers["content-range"] = f"bytes {start}-{end - 1}/{size}"
    return StreamingResponse(read(start, end), 200 if part is None else 206, headers, media_type)


def _number(digits: str) -> int:
    """Parses a number. Caps numbers of 20 digits or more, because Python refuses to parse thousands of digits."""
    digits = digits.lstrip("0") or "0"
    return int(digits) if len(digits) < 20 else 10**20
