"""The labels in the cells of a table: one label, several, or a score."""

import math
from typing import Any

from app.datasets.sources import replace_surrogates, shorten

MAX_LABEL = 200  # characters
MAX_LABELS = 100  # of one item
_SHOWN = 40  # characters of a value that is no score
MAX_NUMBER = 1e100  # of a label or score, in absolute value: larger ones overflow when they are squared
_NO_LABELS = "(none)"


class UnusableRow(Exception):
    """The reason why a row is no item."""


def read_label(value: Any, column: str) -> str:
    """Returns the label of a row as a string that can be encoded. Raises UnusableRow."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and not math.isfinite(value):
        value = None
    if not isinstance(value, str | int | float) or not str(value).strip():
        raise UnusableRow(f"there is no label in {column!r}")
    label = replace_surrogates(str(value).strip())
    if len(label) > MAX_LABEL:
        raise UnusableRow(f"the label in {column!r} has {len(label):,} characters; the limit is {MAX_LABEL}")
    return label


def read_labels(value: Any, column: str, separator: str | None) -> tuple[str, ...] | None:
    """Returns the different labels of a cell in order; None for a cell with one label.

    A list has several labels, or none at all. With a separator, a string has several; if it is empty, the row has not
    been labelled.

    Raises UnusableRow.
    """
    if isinstance(value, str) and separator is not None:
        value = [part for part in value.split(separator) if part.strip()] or [""]
    elif separator is not None and not isinstance(value, list):
        value = [value]
    if not isinstance(value, list):
        return None
    if len(value) > MAX_LABELS:
        raise UnusableRow(f"there are {len(value):,} labels in {column!r}; the limit is {MAX_LABELS}")
    return tuple(sorted({read_label(each, column) for each in value}))


def read_score(value: Any, column: str) -> float:
    """Returns the finite number in a cell, which may be written as a string. Raises UnusableRow."""
    try:
        score = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        score = math.nan
    if not math.isfinite(score):
        found = "nothing" if value is None else repr(shorten(str(value), _SHOWN))
        raise UnusableRow(f"expected a number in {column!r}, found {found}")
    if abs(score) > MAX_NUMBER:
        raise UnusableRow(f"the number in {column!r} is beyond ±{MAX_NUMBER:g}")
    return score


def describe_labels(labels: tuple[str, ...]) -> str:
    """Returns the labels of an item as a single one, for people to read."""
    return shorten(", ".join(labels), MAX_LABEL) or _NO_LABELS
