"""The media type of a body, read from its Content-Type header (RFC 9110, section 8.3)."""

from starlette.datastructures import Headers

JSON = "application/json"
NDJSON = "application/x-ndjson"
FORM = "multipart/form-data"


def media_type(headers: Headers) -> str:
    """Returns the media type in lower case, without parameters; empty if there is none."""
    return headers.get("content-type", "").partition(";")[0].strip().lower()
