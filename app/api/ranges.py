"""One range of bytes, as RFC 9110 section 14 has it. Several at once are answered with the whole."""

import re

from app.errors import AppError

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


class RangeNotSatisfiable(AppError):
    status = 416
    code = "range_not_satisfiable"
    type = "invalid_request_error"


def parse_range(header: str | None, size: int) -> tuple[int, int] | None:
    """Start and end (exclusive) in a content of `size` bytes; None where the whole is to be sent.

    Raises RangeNotSatisfiable for a range that begins behind the end.
    """
    match = _RANGE.fullmatch(header.strip()) if header else None
    if match is None or not any(match.groups()):
        return None
    first, last = match.groups()
    if not first:
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), min(size, int(last) + 1) if last else size
        if last and int(last) < start:
            return None  # not a range at all: to be ignored
    if start >= end:
        raise RangeNotSatisfiable(f"the range {header!r} lies beyond the {size} bytes that there are")
    return start, end
