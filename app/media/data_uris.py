"""Media inside JSON: base64 and data URIs, parsed strictly and measured before they are decoded."""

import base64
import binascii
import re

from app.errors import InvalidData, TooLarge
from app.media.limits import DEFAULT_LIMITS, Limits

# RFC 2397, of the types that are media; parameters, as in `audio/ogg;codecs=opus`, are passed over.
HEADER = re.compile(r"data:(?:image|audio|video)/[\w.+-]+(?:;[\w-]+=[\w.,+\" -]*)*;base64,", re.IGNORECASE)
MAX_HEADER = 200


def parse_data_uri(text: str, limits: Limits = DEFAULT_LIMITS) -> bytes | None:
    """The bytes of `data:image/png;base64,…`; None where the text is no such URI, and so is just a text.

    The type that it names is not relied on: see sniff. Raises InvalidData and TooLarge.
    """
    header = HEADER.match(text[:MAX_HEADER])
    return None if header is None else decode_base64(text, limits, start=header.end())


def decode_base64(text: str, limits: Limits = DEFAULT_LIMITS, *, start: int = 0) -> bytes:
    """The bytes of standard base64, from `start` on: padded, without line ends. Raises InvalidData and TooLarge."""
    size = (len(text) - start) // 4 * 3
    if size - 2 > limits.max_bytes:
        raise TooLarge(f"about {size} bytes of base64, where a file may have {limits.max_bytes}")
    try:
        return base64.b64decode(text[start:], validate=True)
    except (binascii.Error, ValueError) as e:
        raise InvalidData(f"not valid base64 ({e}); expected the standard alphabet, padded, without line ends") from e
