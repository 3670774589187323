"""The one format of log lines, in every process of Cloze."""

import logging

_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def configure_logging(level: str) -> None:
    """Sends the log to stderr. level: a name such as `info`, in any case."""
    logging.basicConfig(level=level.upper(), format=_FORMAT)
