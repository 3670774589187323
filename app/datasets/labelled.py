"""Labelled items: texts of a table or media of an archive, each with a label and the part that it belongs to."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

from app.datasets.label_cells import UnusableRow, describe_labels, read_label, read_labels
from app.datasets.sources import replace_surrogates, shorten
from app.datasets.tables import TableRow, read_rows
from app.errors import InvalidData, TooLarge

MAX_ITEMS = 200_000
MAX_SIZE = 1024**3  # characters of all texts, or bytes of all files: they are held in memory
MAX_NAMED = 1000  # rows that are left out and named one by one
_SHOWN = 5  # rows that a message names


class Part(StrEnum):
    """The part of the data that an item is for. EITHER: every seed decides anew."""

    TRAIN = "train"
    VALIDATION = "validation"  # while items are read
    TEST = "test"
    EITHER = "either"


# The words for parts, in columns and as names of folders.
PARTS = {
    **dict.fromkeys(("train", "training"), Part.TRAIN),
    **dict.fromkeys(("validation", "valid", "val", "dev"), Part.VALIDATION),
    **dict.fromkeys(("test", "testing"), Part.TEST),
}


@dataclass(frozen=True, slots=True)
class LabelledItem:
    """content: a text, or the bytes of a file. place: the file and line, or the member, that it was read from.

    labels: those of an item that may have several, which `label` has as one; None for an item with one label.
    """

    content: str | bytes
    label: str
    part: Part
    place: str
    labels: tuple[str, ...] | None = None


class SkippedRow(NamedTuple):
    place: str
    reason: str


@dataclass
class LabelledItems:
    """Items in the order of their files.

    skipped: the first `MAX_NAMED` rows that cannot be used. unused: rows of the validation part beside a test part, and
    files without a label. validation: the former. is_partial: whether a file has more rows than were read.
    """

    items: list[LabelledItem] = field(default_factory=list)
    skipped: list[SkippedRow] = field(default_factory=list)
    skipped_count: int = 0
    unused: int = 0
    validation: list[LabelledItem] = field(default_factory=list)
    is_partial: bool = False

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
    """The columns of a table. split: whose values are train, test or validation.

    separator: between the labels of a cell; None if a string is one label.
    """

    text: str = "text"
    label: str = "label"
    split: str | None = None
    separator: str | None = None

    def wanted(self) -> dict[str, str]:
        """The columns by the names of the request's fields."""
        named = {"text_column": self.text, "label_column": self.label, "split_column": self.split}
        return {option: name for option, name in named.items() if name is not None}

    def read_labels(self, values: Mapping[str, Any]) -> tuple[str, tuple[str, ...] | None]:
        """Returns the label of a row, and its labels if it may have several. Raises UnusableRow."""
        value = values.get(self.label)
        labels = read_labels(value, self.label, self.separator)
        return (read_label(value, self.label), None) if labels is None else (describe_labels(labels), labels)


class LabelledFile(NamedTuple):
    """part: of all rows of the file; EITHER: a column or a folder says it. field: of the request, for errors."""

    path: Path
    filename: str
    part: Part = Part.EITHER
    field: str = "file"


def read_table(
    file: LabelledFile,
    columns: LabelledColumns,
    found: LabelledItems,
    *,
    sequences: Mapping[str, str] | None = None,
    limit: int | None = None,
) -> Iterator[LabelledItem]:
    """Yields the labelled texts of a table. Rows that cannot be used are named in `found`.

    sequences: texts by the names that the table has in their place. limit: stops after this many rows, as soon as one
    of them can be used.

    Raises InvalidData for a file that is no table, lacks a column, or is damaged, and TooLarge.
    """
    is_usable = False
    for number, row in enumerate(read_rows(file.path, file.filename, columns.wanted())):
        if limit is not None and number >= limit and is_usable:
            found.is_partial = True
            return
        try:
            yield _to_item(row, columns, file.part, sequences)
        except UnusableRow as e:
            found.skip(row.place, str(e))
        else:
            is_usable = True


def collect_items(items: Iterable[LabelledItem], found: LabelledItems) -> None:
    """Adds items to `found`. The validation part is for scores if there is no test part, and kept apart else.

    Where some items belong to a part, those that belong to none cannot be used.

    Raises InvalidData if most rows cannot be used and all were read, and TooLarge for more items or longer ones than an
    evaluation takes.
    """
    size = 0
    validation: list[LabelledItem] = []
    for item in items:
        size += len(item.content)
        (validation if item.part is Part.VALIDATION else found.items).append(item)
        _check_amount(len(found.items) + len(validation), size)
    if any(item.part is Part.TEST for item in found.items):
        found.unused += len(validation)
        found.validation = validation
    else:
        found.items += [replace(item, part=Part.TEST) for item in validation]
    _skip_items_without_part(found)
    if not found.is_partial:
        found.check()


def _skip_items_without_part(found: LabelledItems) -> None:
    drawn = [item for item in found.items if item.part is Part.EITHER]
    if len(drawn) < len(found.items):
        for item in drawn:
            found.skip(item.place, "it is in no part, train, validation or test, while other items are")
        found.items = [item for item in found.items if item.part is not Part.EITHER]


def _to_item(row: TableRow, columns: LabelledColumns, part: Part, sequences: Mapping[str, str] | None) -> LabelledItem:
    if row.fault:
        raise UnusableRow(row.fault)
    text = row.values.get(columns.text)
    if not isinstance(text, str):
        found = "nothing" if text is None else type(text).__name__
        raise UnusableRow(f"expected a text in {columns.text!r}, found {found}")
    if not text.strip():
        raise UnusableRow(f"the text in {columns.text!r} is empty")
    if sequences is not None:
        if (name := text.strip()) not in sequences:
            raise UnusableRow(f"no sequence is named {shorten(name, 100)!r}")
        text = sequences[name]
    label, labels = columns.read_labels(row.values)
    if columns.split is not None:
        part = read_part(row.values.get(columns.split), columns.split)
    return LabelledItem(replace_surrogates(text), label, part, row.place, labels)


def read_part(value: Any, column: str) -> Part:
    word = str(value or "").strip().lower()
    if word not in PARTS:
        raise UnusableRow(f"{shorten(word, 40)!r} in {column!r} is not one of train, validation and test")
    return PARTS[word]


def _check_amount(items: int, size: int) -> None:
    if items > MAX_ITEMS:
        raise TooLarge(f"there are more than the limit of {MAX_ITEMS:,} labelled items; send a sample of them")
    if size > MAX_SIZE:
        raise TooLarge(f"the items have more than the limit of {MAX_SIZE:,} characters or bytes; send a sample of them")
