"""Media inside JSON: base64 and data URIs, parsed strictly, with their size checked before decoding."""

import base64
import binascii
import re

from app.errors import InvalidData, TooLarge
from app.media.limits import DEFAULT_LIMITS, Limits

# RFC 2397, for media types and for files of no stated type. Parameters, as in `audio/ogg;codecs=opus`, are ignored.
HEADER = re.compile(
    r"data:(?:(?:image|audio|video)/[\w.+-]+|application/octet-stream)(?:;[\w-]+=[\w.,+\" -]*)*;base64,", re.IGNORECASE
)
MAX_HEADER = 200


def parse_data_uri(text: str, limits: Limits = DEFAULT_LIMITS) -> bytes | None:
    """Decodes a URI such as `data:image/png;base64,…`. Returns None for any other text.

    The type in the URI is not used; `sniff` detects it. Raises InvalidData and TooLarge.
    """
    header = HEADER.match(text[:MAX_HEADER])
    return None if header is None else decode_base64(text, limits, start=header.end())


def decode_base64(text: str, limits: Limits = DEFAULT_LIMITS, *, start: int = 0) -> bytes:
    """Decodes standard base64 from `start` on: padded, without line breaks. Raises InvalidData and TooLarge."""
    size = (len(text) - start) // 4 * 3
    if size - 2 > limits.max_bytes:
        raise TooLarge(f"the base64 holds about {size} bytes; the limit of a file is {limits.max_bytes} bytes")
    try:
        return base64.b64decode(text[start:], validate=True)
    except (binascii.Error, ValueError) as e:
        raise InvalidData(f"not valid base64 ({e}); expected the standard alphabet, padded, without line breaks") from e
