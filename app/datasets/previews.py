"""Previews of data sets: what is understood of the beginning of a file, so that users see it before a job starts."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

from app.datasets.headers import MAX_FIELDS, parse_header
from app.datasets.reports import Layout, Reason, Report

FIRST = 5  # items shown
SHOWN = 200  # characters of an item, a name or an example
MAX_CHARACTERS = 100  # of the alphabet that are listed
MAX_HEADERS = 10_000  # whose fields are read
VALUES = 3  # shown of a field


@dataclass(frozen=True)
class PreviewItem:
    """An item, shortened. name: of a record of FASTA, a molecule or a media file. length: of the whole item."""

    text: str | None
    name: str | None
    length: float | None


@dataclass(frozen=True)
class Lengths:
    """The lengths of items."""

    unit: Literal["characters", "seconds"]
    min: float
    median: float
    p95: float
    max: float


@dataclass(frozen=True)
class Alphabet:
    """The characters of texts. size: how many different ones. counts: of the most frequent ones."""

    size: int
    counts: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class HeaderField:
    """A field of the headers of sequences, which may be a label. values: how many different ones; first: some."""

    name: str
    values: int
    first: tuple[str, ...]


@dataclass(frozen=True)
class LeftOut:
    """Rows, documents or files that are not used. example: names the first one."""

    reason: str
    count: int
    example: str


@dataclass(frozen=True)
class Preview:
    """The facts that the beginning of a file tells.

    items: used ones among those that were read. share: of the file that was read; exactly 1 if it was read completely.
    read_as: number of text files by what one document of them is. duplicate_share: of the items that equal an earlier
    one; None for media.
    """

    items: int
    share: float
    first: tuple[PreviewItem, ...]
    read_as: Mapping[str, int] = field(default_factory=dict)
    lengths: Lengths | None = None
    alphabet: Alphabet | None = None
    duplicate_share: float | None = None
    header_fields: tuple[HeaderField, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    notes: tuple[str, ...] = ()


@runtime_checkable
class Previewed(Protocol):
    """The result of a check that has a preview."""

    @property
    def preview(self) -> Preview | None: ...


class TextPreview:
    """Collects the preview of texts, one by one. Memory grows by some bytes for each text."""

    def __init__(self, min_characters: int | None, max_characters: int | None) -> None:
        self._min, self._max = min_characters or 0, max_characters
        self._first: list[PreviewItem] = []
        self._lengths: list[int] = []
        self._characters: Counter[str] = Counter()
        self._hashes: set[int] = set()
        self._fields: dict[str, dict[str, None]] = {}  # of headers: name → its values, in their order
        self._refused = Report()

    def add(self, text: str, name: str) -> bool:
        """Adds a text. Returns False if it is left out because of its length."""
        size = len(text)
        if size < self._min or (self._max is not None and size > self._max):
            self._refused.skip(Reason.TOO_SHORT if size < self._min else Reason.TOO_LONG, _shorten(text))
            return False
        if len(self._first) < FIRST:
            self._first.append(PreviewItem(_shorten(text), _shorten(name) or None, size))
        self._lengths.append(size)
        items_read = len(self._lengths)
        self._characters.update(text)
        self._hashes.add(hash(text))
        if items_read <= MAX_HEADERS and ("=" in name or name.endswith("]")):
            for field_name, value in parse_header(name).items():
                self._fields.setdefault(field_name, {}).setdefault(_shorten(value))
        return True

    def finish(self, report: Report, share: float) -> Preview:
        items = len(self._lengths)
        return Preview(
            items=items,
            share=share,
            first=tuple(self._first),
            read_as={str(layout): count for layout, count in report.layouts.items()},
            lengths=measure(self._lengths, "characters"),
            alphabet=Alphabet(len(self._characters), tuple(self._characters.most_common(MAX_CHARACTERS))),
            duplicate_share=1 - len(self._hashes) / items if items else 0.0,
            header_fields=self._list_fields() if Layout.SEQUENCES in report.layouts else (),
            left_out=list_left_out(report) + list_left_out(self._refused),
            notes=tuple(map(_shorten, report.notes)),
        )

    def _list_fields(self) -> tuple[HeaderField, ...]:
        shown = {name: list(values) for name, values in self._fields.items() if name not in ("id", "description")}
        return tuple(
            HeaderField(name, len(values), tuple(values[:VALUES])) for name, values in list(shown.items())[:MAX_FIELDS]
        )


def measure(lengths: Sequence[float], unit: Literal["characters", "seconds"]) -> Lengths | None:
    """Returns None for no lengths. The median and the 95th percentile are lengths of items (nearest rank)."""
    if not lengths:
        return None
    ordered = sorted(lengths)
    median, p95 = (ordered[-(-len(ordered) * percent // 100) - 1] for percent in (50, 95))
    return Lengths(unit, ordered[0], median, p95, ordered[-1])


def list_left_out(report: Report) -> tuple[LeftOut, ...]:
    return tuple(
        LeftOut(str(reason), entry.count, _shorten(entry.examples[0])) for reason, entry in report.skipped.items()
    )


def _shorten(text: str) -> str:
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
