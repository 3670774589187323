"""Rows of texts for evaluations without classes: pairs with a score, minimal pairs, and held-out texts."""

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

from app.datasets.documents import read_documents
from app.datasets.label_cells import UnusableRow, read_score
from app.datasets.labelled import MAX_ITEMS, MAX_NAMED, MAX_SIZE, LabelledFile, SkippedRow
from app.datasets.sources import replace_surrogates, shorten
from app.datasets.tables import TableRow, read_rows
from app.errors import InvalidData, TooLarge
from app.types import TEXT_METHODS, EvaluationMethod, TextMethod

_FEWEST = 2  # rows of a file
_SHOWN = 5  # rows that a message names
_GROUP = 100  # characters of a name
MAX_GROUPS = 1000  # of rows; each has a figure in the report

# The columns of a file by the fields of a request.
DEFAULT_COLUMNS: Mapping[TextMethod, Mapping[str, str]] = {
    "sts": {"text_column": "text", "pair_column": "pair", "label_column": "label"},
    "minimal_pairs": {"text_column": "good", "pair_column": "bad"},
    "masked_accuracy": {"text_column": "text"},
}


def find_text_method(methods: Collection[EvaluationMethod]) -> TextMethod | None:
    """Returns the method that needs no training labels, which is the only one of its evaluation; None for others."""
    return next((method for method in TEXT_METHODS if method in methods), None)


def name_columns(
    method: TextMethod, *, text: str, pair: str | None, label: str, group: str | None
) -> Mapping[str, str]:
    """Returns the columns that a method reads, by the fields of a request."""
    given = {"text_column": text, "pair_column": pair, "label_column": label, "group_column": group}
    read = {*DEFAULT_COLUMNS[method], "group_column"}
    return {name: column for name, column in given.items() if name in read and column is not None}


@dataclass(frozen=True, slots=True)
class TextRow:
    """texts: one, or the two of a pair. score: of a pair, how similar they are. group: empty without a column."""

    texts: tuple[str, ...]
    place: str
    score: float = math.nan
    group: str = ""


@dataclass
class TextRows:
    """Rows in the order of their file. skipped: the first `MAX_NAMED` rows that cannot be used."""

    rows: list[TextRow] = field(default_factory=list)
    skipped: list[SkippedRow] = field(default_factory=list)
    skipped_count: int = 0

    def skip(self, place: str, reason: str) -> None:
        self.skipped_count += 1
        if len(self.skipped) < MAX_NAMED:
            self.skipped.append(SkippedRow(place, reason))

    def check(self) -> None:
        """Raises InvalidData, which names rows, if there are too few or most were left out."""
        if len(self.rows) >= _FEWEST and self.skipped_count <= len(self.rows):
            return
        named = "; ".join(f"{row.place}: {row.reason}" for row in self.skipped[:_SHOWN])
        more = f" and {self.skipped_count - _SHOWN:,} more" if self.skipped_count > _SHOWN else ""
        usable = f"{len(self.rows):,} rows can be used, {self.skipped_count:,} cannot"
        raise InvalidData(f"{usable}: {named}{more}" if named else f"{usable}; at least {_FEWEST} are needed")


class _Unusable(NamedTuple):
    place: str
    reason: str


def read_text_rows(
    file: LabelledFile, method: TextMethod, columns: Mapping[str, str], *, limit: int | None = None
) -> TextRows:
    """Reads the rows of a file. Those that cannot be used are named in the result.

    method: held-out texts for masked_accuracy may be in any file of texts; pairs are in a table.
    columns: by the fields of the request, as in `DEFAULT_COLUMNS`, and `group_column`. limit: of rows.

    Raises InvalidData for a file of another format, without a column, with too many groups, or damaged; and TooLarge.
    """
    found, size, groups = TextRows(), 0, set[str]()
    rows = _read_texts(file, columns) if method == "masked_accuracy" else _read_pairs(file, columns)
    for row in islice(rows, limit):
        if isinstance(row, _Unusable):
            found.skip(*row)
            continue
        found.rows.append(row)
        size += sum(map(len, row.texts))
        groups.add(row.group)
        if len(groups) > MAX_GROUPS:
            raise InvalidData(
                f"{file.filename}: the column {columns['group_column']!r} has more than {MAX_GROUPS:,} groups; set"
                " group_column to a column with fewer values, or leave it out",
                param="group_column",
            )
        if len(found.rows) > MAX_ITEMS or size > MAX_SIZE:
            raise TooLarge(
                f"{file.filename}: there are more than {MAX_ITEMS:,} rows or {MAX_SIZE:,} characters; send a sample"
            )
    whole = limit is None or len(found.rows) + found.skipped_count < limit
    if method == "sts" and whole and len({row.score for row in found.rows}) < 2 <= len(found.rows):
        raise InvalidData(f"every score is {found.rows[0].score:g}; there is nothing to correlate with")
    found.check()
    return found


def _read_texts(file: LabelledFile, columns: Mapping[str, str]) -> Iterator[TextRow]:
    texts = read_documents(file.path, file.filename, columns["text_column"])
    return (TextRow((text,), f"{file.filename}, text {number}") for number, text in enumerate(texts, 1))


def _read_pairs(file: LabelledFile, columns: Mapping[str, str]) -> Iterator[TextRow | _Unusable]:
    for row in read_rows(file.path, file.filename, columns):
        try:
            yield _to_pair(row, columns)
        except UnusableRow as e:
            yield _Unusable(row.place, str(e))


def _to_pair(row: TableRow, columns: Mapping[str, str]) -> TextRow:
    """Raises UnusableRow."""
    if row.fault:
        raise UnusableRow(row.fault)
    first, second = (_read_text(row, columns[name]) for name in ("text_column", "pair_column"))
    score, group = math.nan, ""
    if "label_column" in columns:
        score = read_score(row.values.get(columns["label_column"]), columns["label_column"])
    elif first == second:
        raise UnusableRow("the two texts are equal")
    if "group_column" in columns:
        value = row.values.get(columns["group_column"])
        if value is None or not str(value).strip():
            raise UnusableRow(f"there is no group in {columns['group_column']!r}")
        group = shorten(replace_surrogates(str(value).strip()), _GROUP)
    return TextRow((first, second), row.place, score, group)


def _read_text(row: TableRow, column: str) -> str:
    value = row.values.get(column)
    if not isinstance(value, str):
        found = "nothing" if value is None else type(value).__name__
        raise UnusableRow(f"expected a text in {column!r}, found {found}")
    if not value.strip():
        raise UnusableRow(f"the text in {column!r} is empty")
    return replace_surrogates(value.strip())
