"""Keeps secrets out of the log of requests."""

import logging
import re

_SECRET = re.compile(r"([?&][^=&]*(?:key|token|secret|passw|auth|credential|signature|session)[^=&]*=)[^&]*", re.I)


class RedactSecrets(logging.Filter):
    """Replaces secret values of query strings in the records of uvicorn's access log.

    A value is secret when its parameter's name says so, such as `key` or `token`.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(redact(each) if isinstance(each, str) else each for each in record.args)
        return True


def redact(path: str) -> str:
    """Replaces secret values in the query string of a path."""
    return _SECRET.sub(r"\1[redacted]", path)
