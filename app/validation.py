"""Descriptions of pydantic's errors in JSON's terms."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from app.errors import InvalidValue

M = TypeVar("M", bound=BaseModel)

MAX_ECHO = 1000  # characters of what a client sent that go back to it

# pydantic names Python's types; a client sends JSON's.
_JSON_WORDS = (
    (re.compile(r"\bvalid (?:tuple|set|frozenset)\b"), "valid list"),
    (re.compile(r"\bvalid dictionary(?: or (?:instance of \w+|object to extract fields from))?"), "valid object"),
    (re.compile(r"^(?:Tuple|Set|Frozenset|Bytes)\b"), "List"),
    (re.compile(r"^Dictionary\b"), "Object"),
    (re.compile(r" after validation\b"), ""),
    (re.compile(r"\bNone\b"), "null"),
)
# Parts of a pydantic location that are neither names nor indices: the member of a union that was tried.
_KIND = re.compile(
    r"\[key\]|(?:str|int|float|bool|none|bytes|list|tuple|dict|literal|str-enum|constrained-\w+|function-\w+)(?:\[.*\])?",
    re.DOTALL,
)


def describe(error: Mapping[str, Any], prefix: str = "") -> InvalidValue:
    """Describes one of pydantic's errors in JSON's terms, with the field at fault as `param`."""
    param = ".".join(filter(None, [prefix, *_place(error["loc"])]))[:MAX_ECHO]
    field = f"`{param}`" if param else "the body"
    message = str(error["msg"])
    if error["type"] not in ("value_error", "assertion_error"):  # our own messages
        for pattern, word in _JSON_WORDS:
            message = pattern.sub(word, message)
    match error["type"]:
        case "missing":
            text = f"{field} is required"
        case "extra_forbidden":
            text = f"{field} is not a known field"
        case "value_error":
            text = f"{field}: {message.removeprefix('Value error, ')}"
        case _ if message.startswith("Input should be"):
            text = f"{field}{message.removeprefix('Input')}{_found(error.get('input'))}"
        case _:
            text = f"{field}: {message}"
    return InvalidValue(text, param=param or None)


def _place(location: Sequence[int | str]) -> Iterator[str]:
    """Yields the names and indices of a location, without the members of unions."""
    before: int | str | None = None
    for part in location:
        is_kind = isinstance(part, str) and (_KIND.fullmatch(part) or (isinstance(before, int) and part[:1].isupper()))
        if before is None or not is_kind:
            yield str(part)
        before = part


def _found(value: object) -> str:
    """Names the type of a value in JSON's terms."""
    match value:
        case None:
            return ", not null"
        case bool():
            return f", not {str(value).lower()}"
        case int() | float():
            return f", not {str(value)[:60]}"
        case str():
            return f", not {value[:60]!r}"
        case list() | tuple():
            return ", not a list"
        case Mapping():
            return ", not an object"
    return ""


def validate(kind: type[M], value: Any) -> M:
    """Returns a value that a client sent, as an object of a schema. Raises InvalidValue for its first mistake."""
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        raise describe(dict(error.errors()[0])) from error
