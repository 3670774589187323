"""The format of log lines, in every process of Cloze: text for people, or JSON for programs.

A record may carry fields: `_log.info("…", extra=fields(job_id=…))`. Fields that belong to everything that a task or
a thread does are set with `add_log_fields`. Both formats write one line a record, whatever characters it has.
"""

import json
import logging
import math
import re
from collections.abc import Mapping
from contextvars import ContextVar, Token
from datetime import UTC, datetime
from typing import Any, Literal

LogFormat = Literal["text", "json"]

_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_FIELDS = "fields"  # the attribute of a record that has its fields
_CONTROL = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")  # characters that some reader takes for the end of a line

_context: ContextVar[Mapping[str, object]] = ContextVar("log_fields")
_process: dict[str, object] = {}  # fields of all records of this process


def configure_logging(level: str, form: LogFormat = "text", **constant: object) -> None:
    """Sends the log to stderr. level: a name such as `info`, in any case. constant: fields of every JSON line."""
    _process.clear()
    _process.update(constant)
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter(_FORMAT))
    logging.basicConfig(level=level.upper(), handlers=[handler])
    logging.captureWarnings(form == "json")  # warnings are printed as text otherwise


def fields(**values: object) -> dict[str, dict[str, object]]:
    """Returns the `extra` of a record with these fields. Those that are None are left out."""
    return {_FIELDS: {name: value for name, value in values.items() if value is not None}}


def add_log_fields(**values: object) -> Token[Mapping[str, object]]:
    """Adds fields to the JSON lines of the running task or thread, and of what it starts.

    Returns a token for `restore_log_fields`.
    """
    return _context.set({**_context.get({}), **values})


def restore_log_fields(token: Token[Mapping[str, object]]) -> None:
    """Takes back what `add_log_fields` has added."""
    _context.reset(token)


class TextFormatter(logging.Formatter):
    """Writes a line of text, with the fields of the record itself behind the message. A traceback follows it."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        own: Mapping[str, object] = getattr(record, _FIELDS, {})
        line = " ".join([super().formatMessage(record), *(f"{name}={value}" for name, value in own.items())])
        return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}" if found[0] != "\n" else "\\n", line)


class JsonFormatter(logging.Formatter):
    """Writes a JSON object in one line of ASCII: time, level, logger, message, the fields, and a traceback."""

    def format(self, record: logging.LogRecord) -> str:
        own: Mapping[str, object] = getattr(record, _FIELDS, {})
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_process,
            **_context.get({}),
            **own,
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            line["stack"] = self.formatStack(record.stack_info)
        return json.dumps({name: _plain(value) for name, value in line.items()}, allow_nan=False)


def _plain(value: object) -> Any:
    """Returns a value that every JSON parser reads: no lone surrogate, no NaN, no other class."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return str(value).encode("utf-8", "backslashreplace").decode()
