"""One range of bytes, as RFC 9110 section 14 has it. Several at once are answered with the whole."""

import os
import re

from fastapi.responses import FileResponse
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from app.errors import AppError

_RANGE = re.compile(r"bytes=([0-9]*)-([0-9]*)")


class RangeNotSatisfiable(AppError):
    """size: of the whole, in bytes."""

    status = 416
    code = "range_not_satisfiable"
    type = "invalid_request_error"

    def __init__(self, message: str, *, size: int) -> None:
        super().__init__(message)
        self.size = size


def parse_range(header: str | None, size: int) -> tuple[int, int] | None:
    """Start and end (exclusive) in a content of `size` bytes; None where the whole is to be sent.

    Raises RangeNotSatisfiable for a range that begins behind the end.
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
            return None  # not a range at all: to be ignored
    if start >= end:
        asked = match.group()[:100]
        raise RangeNotSatisfiable(f"the range {asked!r} lies beyond the {size} bytes that there are", size=size)
    return start, end


class RangedFile(FileResponse):
    """A file or a range of it. Starlette's, which answers odd ranges in plain text, is only shown plain ones."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        part = parse_range(Headers(scope=scope).get("range"), os.stat(self.path).st_size)
        headers = [each for each in scope["headers"] if each[0] != b"range"]
        if part is not None:
            headers.append((b"range", b"bytes=%d-%d" % (part[0], part[1] - 1)))
        await super().__call__({**scope, "headers": headers}, receive, send)


def _number(digits: str) -> int:
    """No file is so large that more than 19 digits make a difference, and Python refuses to read thousands."""
    digits = digits.lstrip("0") or "0"
    return int(digits) if len(digits) < 20 else 10**20
