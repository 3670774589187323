"""Labelled texts: rows of a table, each with a text, a label, and the part of the data that it belongs to."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

from app.datasets.documents import replace_surrogates
from app.datasets.sources import shorten
from app.datasets.tables import TableRow, read_rows
from app.errors import InvalidData, TooLarge

MAX_ITEMS = 200_000
MAX_CHARACTERS = 500_000_000  # of all texts, which are held in memory
MAX_LABEL = 200  # characters
MAX_NAMED = 1000  # rows that are left out and named one by one
_SHOWN = 5  # rows that a message names


class Part(StrEnum):
    """The part of the data that an item is for. EITHER: every seed decides anew."""

    TRAIN = "train"
    TEST = "test"
    EITHER = "either"


_PARTS = {"train": "train", "training": "train", "test": "test", "testing": "test"}
_VALIDATION = ("validation", "valid", "val", "dev")


@dataclass(frozen=True, slots=True)
class LabelledText:
    """place: the file and line that it was read from."""

    text: str
    label: str
    part: Part
    place: str


class SkippedRow(NamedTuple):
    place: str
    reason: str


@dataclass
class LabelledTexts:
    """Items in the order of their files.

    skipped: the first `MAX_NAMED` rows that cannot be used. unused: rows of the validation part beside a test part.
    """

    items: list[LabelledText] = field(default_factory=list)
    skipped: list[SkippedRow] = field(default_factory=list)
    skipped_count: int = 0
    unused: int = 0

    def skip(self, place: str, reason: str) -> None:
        self.skipped_count += 1
        if len(self.skipped) < MAX_NAMED:
            self.skipped.append(SkippedRow(place, reason))

    def check(self) -> None:
        """Raises InvalidData, which names rows, if there are no items or most rows were left out."""
        if self.items and self.skipped_count <= len(self.items):
            return
        if not self.skipped:
            raise InvalidData("the files have no rows")
        named = "; ".join(f"{row.place}: {row.reason}" for row in self.skipped[:_SHOWN])
        more = f" and {self.skipped_count - _SHOWN:,} more" if self.skipped_count > _SHOWN else ""
        usable = f"{len(self.items):,} rows can be used, {self.skipped_count:,} cannot"
        raise InvalidData(f"{usable}: {named}{more}")


@dataclass(frozen=True)
class LabelledColumns:
    """The columns of a table. split: whose values are train, test or validation."""

    text: str = "text"
    label: str = "label"
    split: str | None = None

    def wanted(self) -> dict[str, str]:
        """The columns by the names of the request's fields."""
        named = {"text_column": self.text, "label_column": self.label, "split_column": self.split}
        return {option: name for option, name in named.items() if name is not None}


class LabelledFile(NamedTuple):
    """part: of all rows of the file, where no column says it."""

    path: Path
    filename: str
    part: Part = Part.EITHER


def read_labelled(
    files: Iterable[LabelledFile], columns: LabelledColumns, *, limit: int | None = None
) -> LabelledTexts:
    """Reads the labelled texts of tables. Rows that cannot be used are left out, and named in the result.

    limit: stops after this many rows of each file.

    Raises:
        InvalidData: A file is no table, lacks a column, or is damaged; or most rows cannot be used.
        TooLarge: There are more items, or longer ones, than an evaluation takes.
    """
    found, characters = LabelledTexts(), 0
    validation: list[LabelledText] = []
    for file in files:
        for number, row in enumerate(read_rows(file.path, file.filename, columns.wanted())):
            if number == limit:
                break
            try:
                item = _to_item(row, columns, file.part)
            except _UnusableRow as e:
                found.skip(row.place, str(e))
                continue
            characters += len(item.text)
            (validation if _is_validation(row, columns) else found.items).append(item)
            _check_amount(len(found.items) + len(validation), characters)
    _place_validation(found, validation)
    found.check()
    return found


class _UnusableRow(Exception):
    pass


def _to_item(row: TableRow, columns: LabelledColumns, part: Part) -> LabelledText:
    if row.fault:
        raise _UnusableRow(row.fault)
    text = row.values.get(columns.text)
    if not isinstance(text, str):
        found = "nothing" if text is None else type(text).__name__
        raise _UnusableRow(f"expected a text in {columns.text!r}, found {found}")
    if not text.strip():
        raise _UnusableRow(f"the text in {columns.text!r} is empty")
    label = _to_label(row.values.get(columns.label), columns.label)
    if columns.split is not None:
        part = _to_part(row.values.get(columns.split), columns.split)
    return LabelledText(replace_surrogates(text), replace_surrogates(label), part, row.place)


def _to_label(value: Any, column: str) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and not math.isfinite(value):
        value = None
    if not isinstance(value, str | int | float) or not str(value).strip():
        raise _UnusableRow(f"there is no label in {column!r}")
    label = str(value).strip()
    if len(label) > MAX_LABEL:
        raise _UnusableRow(f"the label in {column!r} has {len(label):,} characters; the limit is {MAX_LABEL}")
    return label


def _to_part(value: Any, column: str) -> Part:
    word = str(value or "").strip().lower()
    if word in _VALIDATION:
        return Part.TEST
    if word not in _PARTS:
        raise _UnusableRow(f"{shorten(word, 40)!r} in {column!r} is not one of train, validation and test")
    return Part(_PARTS[word])


def _is_validation(row: TableRow, columns: LabelledColumns) -> bool:
    return columns.split is not None and str(row.values.get(columns.split)).strip().lower() in _VALIDATION


def _place_validation(found: LabelledTexts, validation: list[LabelledText]) -> None:
    """Uses the validation part for scores if there is no test part, else leaves it out."""
    if not any(item.part is Part.TEST for item in found.items):
        found.items += validation
        return
    found.unused = len(validation)


def _check_amount(items: int, characters: int) -> None:
    if items > MAX_ITEMS:
        raise TooLarge(f"the files have more than the limit of {MAX_ITEMS:,} labelled rows; send a sample of them")
    if characters > MAX_CHARACTERS:
        raise TooLarge(f"the texts have more than the limit of {MAX_CHARACTERS:,} characters; send a sample of them")
