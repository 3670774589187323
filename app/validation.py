"""Validation in JSON's terms: its types, and descriptions of pydantic's errors."""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError, ValidationInfo, field_validator
from pydantic_core import InitErrorDetails, PydanticKnownError

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


class JsonModel(BaseModel):
    """A model whose scalars keep JSON's types: pydantic alone would read "20" and true as numbers, and 1 as true.

    A whole number may be written as 1.0.
    """

    @field_validator("*", mode="before")
    @classmethod
    def _check_type(cls, value: Any, info: ValidationInfo) -> Any:
        allowed, of_items = _field_types(cls, str(info.field_name))
        if kind := _refused_as(value, allowed):
            raise PydanticKnownError(kind)
        items = enumerate(value) if of_items and isinstance(value, list) else ()
        for index, item in items:
            if kind := _refused_as(item, of_items):
                error: InitErrorDetails = {"type": kind, "loc": (index,), "input": item}
                raise ValidationError.from_exception_data(cls.__name__, [error])
        return value


@cache
def _field_types(kind: type[BaseModel], name: str) -> tuple[frozenset[type | str], frozenset[type | str]]:
    """Returns the scalar types and the literal strings that a field accepts, and those for the items of its lists."""
    members = list(_union_members(kind.model_fields[name].annotation))
    items = [item for each in members if get_origin(each) in (list, tuple) for item in _union_members(*get_args(each))]
    return _scalars(members), _scalars(items)


def _union_members(*annotations: Any) -> Iterator[Any]:
    """Yields the types that annotations consist of, without unions and metadata around them."""
    for each in annotations:
        if get_origin(each) is Annotated:
            yield from _union_members(get_args(each)[0])
        elif get_origin(each) in (Union, UnionType):
            yield from _union_members(*get_args(each))
        else:
            yield each


def _scalars(members: Sequence[Any]) -> frozenset[type | str]:
    literals = [value for each in members if get_origin(each) is Literal for value in get_args(each)]
    plain = {each for each in members if each in (bool, int, float, str)}
    return frozenset(plain.union(value if isinstance(value, str) else type(value) for value in literals))


def _refused_as(value: object, allowed: frozenset[type | str]) -> Literal["float_type", "int_type", "bool_type"] | None:
    """Returns pydantic's error for a scalar of another type, where numbers or booleans are allowed."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    kinds = {int, float} if is_number else {type(value)} & {bool, str}
    if (
        not kinds
        or kinds & allowed
        or not allowed & {bool, int, float}
        or (isinstance(value, str) and value in allowed)
    ):
        return None
    if float in allowed:
        return "float_type"
    return "int_type" if int in allowed else "bool_type"


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
        case "int_parsing_size":
            text = f"{field} is an integer with too many digits"
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
