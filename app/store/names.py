"""Names of models and the ids that point at them. Nothing that fails here ever becomes a path."""

import re
from dataclasses import dataclass

from app.errors import InvalidValue
from app.methods import preset

MAX_NAME_LENGTH = 128
LATEST = "latest"  # an alias that every model has

_SEGMENT = re.compile(r"(?!\d+$)[A-Za-z0-9_][A-Za-z0-9._-]*", re.ASCII)  # all digits would be a version
_ALIAS = re.compile(r"[A-Za-z_][A-Za-z0-9._-]{0,63}", re.ASCII)
_TAKEN = frozenset({"aliases", "aliases.json", "manifest.json"})  # by the API's paths and the store's files
_TAKEN_AT_END = frozenset({"archive", "card", "load", "unload"})  # by the API's paths
_VERSION = re.compile(r"[1-9]\d{0,8}", re.ASCII)


@dataclass(frozen=True)
class ModelId:
    """`name`, `name@version` or `name:alias`; at most one of `version` and `alias` is set."""

    name: str
    version: int | None = None
    alias: str | None = None

    @classmethod
    def parse(cls, text: str) -> "ModelId":
        """Raises InvalidValue."""
        name, at, version = text.partition("@")
        if at:
            number = parse_version(version)
            if number is None:
                raise InvalidValue(f"{text!r}: a version is a whole number from 1, as in name@3", param="model")
            return cls(check_name(name), version=number)
        name, colon, alias = text.partition(":")
        return cls(check_name(name), alias=check_alias(alias) if colon else None)


def parse_version(text: str) -> int | None:
    """The number that a version (a folder's name) stands for, or None."""
    return int(text) if _VERSION.fullmatch(text) else None


def is_segment(text: str) -> bool:
    return _SEGMENT.fullmatch(text) is not None


def check_name(name: str) -> str:
    """The name itself, if it is one: segments divided by slashes, as in `org/name`."""
    if not name or len(name) > MAX_NAME_LENGTH or not all(map(is_segment, name.split("/"))):
        raise InvalidValue(
            f"{name[:MAX_NAME_LENGTH]!r} is not a model name: use letters, digits, '.', '_' and '-' in one or more "
            f"parts divided by '/', none only of digits, at most {MAX_NAME_LENGTH} characters together",
            param="model",
        )
    return name


def check_new_name(name: str) -> str:
    """Checks the name of a new model, more strictly than `check_name`: models in the store keep their names."""
    *_, last = segments = check_name(name).split("/")
    if taken := _TAKEN.intersection(segments) or _TAKEN_AT_END.intersection([last]):
        raise InvalidValue(
            f"{name!r} cannot be a model's name: {min(taken)!r} has a meaning of its own in the store or in the API's"
            " paths; use another word",
            param="model",
        )
    if preset(name) is not None:
        raise InvalidValue(
            f"{name!r} cannot be a model's name: it is a preset, which requests would train instead; use another name",
            param="model",
        )
    return name


def check_alias(alias: str) -> str:
    if not _ALIAS.fullmatch(alias):
        raise InvalidValue(
            f"{alias[:64]!r} is not an alias: a letter, then letters, digits, '.', '_' and '-'", param="alias"
        )
    return alias
