"""Results as bytes and back, bit for bit. Reading bytes from anywhere runs no code: it only fills known classes.

A result is a frozen dataclass of Cloze's modalities. Its JSON comes first, then its arrays as they are in memory. The
annotations of its fields say how it is read, so a field of a kind that is not known here keeps the results of its
class out of the cache, and nothing else.
"""

import math
import re
import struct
import sys
import types
import typing
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Any, Literal, get_args, get_origin

import numpy as np
import orjson

from app.types import Classifier

LARGEST = 256 * 1024  # bytes of a result that is cached

_LENGTH = struct.Struct("<I")  # of the JSON
_ALIGNMENT = 16  # bytes; of arrays
_DTYPE = re.compile(r"[<|][fiub][1248]")
_SCALARS = {str: (str,), int: (int,), bool: (bool,), float: (float, int)}

Read = Callable[[Any, "_Source"], Any]


class Unreadable(Exception):
    """Bytes that are no result as this version writes it."""


class _Source(typing.NamedTuple):
    payload: bytes
    arrays: int  # where they begin
    classifier: Classifier | None


def encode(result: Any, classifier: Classifier | None = None) -> bytes | None:
    """Returns the result as bytes; None for one that is too large, or has a field that cannot be read back.

    classifier: of the model. A result refers to it, and does not repeat its labels.
    """
    kind: Any = type(result)
    if not _is_known(kind):
        return None
    arrays: list[bytes] = []
    end = 0

    def write(value: object) -> Any:
        nonlocal end
        if isinstance(value, np.ndarray) and _DTYPE.fullmatch(value.dtype.str):
            if end + value.nbytes > LARGEST:
                raise TypeError
            begin = end
            arrays.append(_padded(value.tobytes()))
            end += len(arrays[-1])
            return {"dtype": value.dtype.str, "shape": value.shape, "begin": begin}
        if isinstance(value, Classifier) and value == classifier:
            return {}
        raise TypeError

    try:
        written = orjson.dumps([_name(kind), result], default=write)
    except TypeError:  # orjson's own error is one
        return None
    head = _padded(_LENGTH.pack(len(written)) + written)
    return b"".join((head, *arrays)) if len(head) + end <= LARGEST else None


def decode(payload: bytes, classifier: Classifier | None = None) -> Any:
    """Returns the result. Its arrays cannot be written to. Raises Unreadable."""
    try:
        (length,) = _LENGTH.unpack_from(payload)
        begin = _LENGTH.size
        name, value = orjson.loads(payload[begin : begin + length])
        arrays = -(-(begin + length) // _ALIGNMENT) * _ALIGNMENT
        return _reader(_find(name))(value, _Source(payload, arrays, classifier))
    except Unreadable:
        raise
    except Exception as error:  # of whatever stands in its place
        raise Unreadable(f"{type(error).__name__}: {error}") from error


def _padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % _ALIGNMENT)


def _name(kind: type) -> str:
    return f"{kind.__module__}:{kind.__qualname__}"


def _find(name: str) -> type:
    """Returns the class of results with this name, among the modules that are loaded. Raises Unreadable."""
    module, _, kind = name.partition(":")
    found = getattr(sys.modules.get(module), kind, None)
    if not isinstance(found, type) or _name(found) != name or not _is_known(found):
        raise Unreadable(f"{name!r} is no class of results")
    return found


@cache
def _is_known(kind: Hashable) -> bool:
    """Whether results of a class can be written and read back."""
    try:
        _reader(kind)
    except Unreadable:
        return False
    return is_dataclass(kind)


@cache
def _reader(hint: Any) -> Read:
    """Returns the function that reads a value with this annotation. Raises Unreadable for one that is not known."""
    origin, args = get_origin(hint) or hint, get_args(hint)
    if hint in _SCALARS:
        return _read_scalar(_SCALARS[hint])
    if hint is None or hint is types.NoneType:
        return _read_scalar((types.NoneType,))
    if origin is Literal:
        return lambda value, source: args[args.index(value)]
    if origin in (typing.Union, types.UnionType):
        return _read_union([_reader(each) for each in args])
    if args:
        return _container_reader(origin, args)
    if hint is Classifier:
        return lambda value, source: source.classifier
    if isinstance(hint, type) and issubclass(hint, Enum):
        return lambda value, source: hint(value)
    if is_dataclass(hint) and isinstance(hint, type) and hint.__module__.startswith("app.modalities."):
        return _read_dataclass(hint)
    raise Unreadable(f"{hint} is not written")


def _container_reader(origin: Any, args: tuple[Any, ...]) -> Read:
    if origin is np.ndarray:
        return _read_array
    if origin is tuple:
        return _read_tuple(args)
    if origin in (list, Sequence):
        return _read_list(_reader(args[0]))
    if origin in (dict, Mapping) and args[0] is str:
        return _read_mapping(_reader(args[1]))
    raise Unreadable(f"{origin} is not written")


def _read_scalar(kinds: tuple[type, ...]) -> Read:
    def read(value: Any, source: _Source) -> Any:
        if type(value) not in kinds:
            raise Unreadable(f"a {type(value).__name__} stands in the place of a {kinds[0].__name__}")
        return value

    return read


def _read_union(readers: Sequence[Read]) -> Read:
    def read(value: Any, source: _Source) -> Any:
        for each in readers:
            try:
                return each(value, source)
            except (Unreadable, ValueError, TypeError, KeyError):
                continue
        raise Unreadable("a value is of none of its kinds")

    return read


def _read_array(value: Any, source: _Source) -> Any:
    dtype, shape = value["dtype"], value["shape"]
    if not _DTYPE.fullmatch(dtype) or min([value["begin"], *shape]) < 0:
        raise Unreadable("an array has an unknown dtype or shape")
    begin = source.arrays + value["begin"]
    return np.frombuffer(source.payload, np.dtype(dtype), math.prod(shape), begin).reshape(shape)


def _read_tuple(args: tuple[Any, ...]) -> Read:
    if len(args) == 2 and args[1] is Ellipsis:
        each = _reader(args[0])
        return lambda value, source: tuple(each(part, source) for part in _listed(value))
    readers = [_reader(arg) for arg in args]
    return lambda value, source: tuple(each(part, source) for each, part in zip(readers, _listed(value), strict=True))


def _read_list(each: Read) -> Read:
    return lambda value, source: [each(part, source) for part in _listed(value)]


def _listed(value: Any) -> list[Any]:
    if type(value) is not list:
        raise Unreadable("a value is no list")
    return value


def _read_mapping(each: Read) -> Read:
    def read(value: Any, source: _Source) -> Any:
        if type(value) is not dict:
            raise Unreadable("a value is no object")
        return {key: each(part, source) for key, part in value.items()}

    return read


def _read_dataclass(kind: type) -> Read:
    """Returns the function that reads a class, or one derived from it: the fields tell which."""
    known = dict(_read_fields(each) for each in (kind, *kind.__subclasses__()))

    def read(value: Any, source: _Source) -> Any:
        found = known.get(frozenset(value))
        if found is None:
            raise Unreadable(f"{kind.__name__} has other fields")
        each, readers = found
        return each(**{name: reader(value[name], source) for name, reader in readers})

    return read


def _read_fields(kind: type) -> tuple[frozenset[str], tuple[type, list[tuple[str, Read]]]]:
    """Returns the names of the fields of a class, and the functions that read them. Raises Unreadable."""
    hints = typing.get_type_hints(kind)
    readers = [(each.name, _reader(hints[each.name])) for each in fields(kind)]
    if any(name.startswith("_") for name, _ in readers):
        raise Unreadable("orjson leaves out private fields")
    if any(not each.init for each in fields(kind)):
        raise Unreadable("a field is not given to the class")
    return frozenset(name for name, _ in readers), (kind, readers)
