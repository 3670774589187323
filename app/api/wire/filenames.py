"""Names of uploaded files, in the encodings of browsers, mail libraries and command line tools."""

import re
from email.errors import MessageError
from email.header import decode_header, make_header
from urllib.parse import unquote

# RFC 5987: filename*=UTF-8''l%C3%B6we.txt. RFC 7578 forbids it in forms, but `requests` and others send it.
_EXTENDED = re.compile(rb";\s*filename\*\s*=\s*\"?(utf-8|iso-8859-1|us-ascii)'[^']{0,50}'([^;\"\s]*)", re.IGNORECASE)
_ENCODED_WORD = re.compile(r"=\?[\w-]+\?[bq]\?[^?\s]*\?=", re.IGNORECASE | re.ASCII)  # RFC 2047
# Characters that browsers encode: https://html.spec.whatwg.org, "escape a multipart form data name".
_BROWSER = {"%22": '"', "%0D": "\r", "%0A": "\n"}


def upload_name(disposition: bytes, plain: bytes | None) -> str | None:
    """Parses the file name in a part's Content-Disposition. Returns None if the part is not a file.

    plain: the value of `filename`, without quotes.
    """
    extended = _EXTENDED.search(disposition)
    if extended:
        charset, text = (group.decode("ascii", "replace") for group in extended.groups())
        return unquote(text, encoding=charset, errors="replace")
    if plain is None:
        return None
    try:
        name = plain.decode("utf-8")
    except UnicodeDecodeError:
        name = plain.decode("latin-1")
    if _ENCODED_WORD.search(name):
        name = _decode_words(name)
    return re.sub("%(?:22|0D|0A)", lambda found: _BROWSER[found.group().upper()], name, flags=re.IGNORECASE)


def _decode_words(name: str) -> str:
    try:
        return str(make_header(decode_header(name)))
    except (MessageError, LookupError, ValueError):  # not encoded, or in an unknown encoding
        return name
