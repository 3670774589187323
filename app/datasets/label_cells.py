"""The labels in the cells of a table: one label, or several."""

import math
from typing import Any

from app.datasets.sources import replace_surrogates, shorten

MAX_LABEL = 200  # characters
MAX_LABELS = 100  # of one item
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


def describe_labels(labels: tuple[str, ...]) -> str:
    """Returns the labels of an item as a single one, for people to read."""
    return shorten(", ".join(labels), MAX_LABEL) or _NO_LABELS
