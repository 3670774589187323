"""Keeps secrets out of the log of requests."""

import logging
import re

_SECRET = re.compile(r"([?&][^=&]*(?:key|token|secret|passw|auth|credential|signature|session)[^=&]*=)[^&]*", re.I)


class RedactSecrets(logging.Filter):
    """Blanks values of a query string whose names say that they are secret, in the records of uvicorn's access log."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(redact(each) if isinstance(each, str) else each for each in record.args)
        return True


def redact(path: str) -> str:
    """The path and query string without secret values."""
    return _SECRET.sub(r"\1[redacted]", path)
