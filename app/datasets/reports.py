"""Reports on a data set: how many files and rows are usable, and why others are skipped."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Self

from app.errors import InvalidData

EXAMPLES = 5
MAX_NAME = 200  # characters of a file's name


class Reason(StrEnum):
    """The reason for skipping a file or row. Users see the values."""

    BROKEN = "broken"
    OTHER_KIND = "another kind of file"
    HIDDEN = "hidden"
    LINK = "a link"
    SPECIAL = "a device or another special file"
    UNSAFE_NAME = "a name that leaves its folder"
    TOO_LARGE = "too large"
    ENCRYPTED = "encrypted"
    BESIDE = "beside a sample"  # labels and notes, as in WebDataset
    EMPTY = "empty"  # rows, and lines between them
    NULL = "null"  # rows
    TOO_SHORT = "shorter than min_characters"  # documents
    TOO_LONG = "longer than max_characters"  # documents
    NO_COLUMN = "without the text column"  # files of an archive
    NOT_UTF8 = "not UTF-8 text"  # files of an archive


FAULTY = {Reason.BROKEN, Reason.TOO_LARGE, Reason.ENCRYPTED}  # data that cannot be used


class Layout(StrEnum):
    """The part of a file that is one document. Users see the values."""

    LINES = "lines"
    PARAGRAPHS = "paragraphs"
    FILE = "file"
    ROWS = "rows"  # of a table, or elements of a JSON file
    SEQUENCES = "sequences"  # records of FASTA, FASTQ or SMILES


ONE_DOCUMENT = {
    Layout.LINES: "one a line",
    Layout.PARAGRAPHS: "one a paragraph",
    Layout.FILE: "one a file",
}


@dataclass(slots=True)
class Skipped:
    count: int = 0
    examples: list[str] = field(default_factory=list)  # the first few: `name` or `name: message`


@dataclass(slots=True)
class Report:
    """Counts over all files of a data set. Not thread-safe."""

    usable: int = 0
    skipped: dict[Reason, Skipped] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)  # other remarks for the user, one sentence each
    layouts: dict[Layout, int] = field(default_factory=dict)  # number of text files that were read in each way

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> Self:
        """Restores a report from the result of `dataclasses.asdict`."""
        skipped = {Reason(reason): Skipped(**entry) for reason, entry in stored["skipped"].items()}
        layouts = {Layout(layout): count for layout, count in stored["layouts"].items()}
        return cls(stored["usable"], skipped, stored["notes"], layouts)

    def skip(self, reason: Reason, name: str, message: str = "") -> None:
        """Counts a skipped file or row."""
        entry = self.skipped.setdefault(reason, Skipped())
        entry.count += 1
        if len(entry.examples) < EXAMPLES:
            name = name if len(name) <= MAX_NAME else name[: MAX_NAME - 1] + "…"
            entry.examples.append(f"{name}: {message}" if message else name)

    def note(self, sentence: str) -> None:
        self.notes.append(sentence)

    def add_layout(self, layout: Layout) -> None:
        """Counts a text file that is read in this way."""
        self.layouts[layout] = self.layouts.get(layout, 0) + 1

    def describe_layouts(self) -> str:
        """Describes what a document is, if it depends on more than the format: `one a line`."""
        plain = {layout: count for layout, count in self.layouts.items() if layout in ONE_DOCUMENT}
        if len(plain) == 1 and len(self.layouts) == 1:
            return ONE_DOCUMENT[next(iter(plain))]
        return " and ".join(f"{ONE_DOCUMENT[layout]} in {count:,} files" for layout, count in plain.items())

    def mark_broken(self, name: str, message: str) -> None:
        """Counts a file as broken that was counted as usable before."""
        self.usable -= 1
        self.skip(Reason.BROKEN, name, message)

    @property
    def faulty_share(self) -> float:
        """The share of the files meant to be data that are unusable."""
        faulty = sum(entry.count for reason, entry in self.skipped.items() if reason in FAULTY)
        return faulty / max(1, faulty + self.usable)

    def check(self, what: str, max_faulty_share: float = 0.5) -> None:
        """Raises InvalidData if nothing is usable or too many files are faulty. `what` names the items: "images"."""
        if not self.usable or self.faulty_share > max_faulty_share:
            raise InvalidData(f"{self.usable} {what} are usable; skipped: {self.summary() or 'nothing'}")

    def summary(self) -> str:
        """Formats the skipped files in one line: `3 broken (a.jpg: …, …), 1 hidden (.DS_Store)`."""
        return ", ".join(
            f"{entry.count} {reason} ({entry.examples[0]}{', …' if entry.count > 1 else ''})"
            for reason, entry in self.skipped.items()
        )
