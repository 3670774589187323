"""Reports on the files and rows of a data set: how many are usable, and why others are not."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Self

from app.errors import InvalidData

EXAMPLES = 5
MAX_NAME = 200  # characters of a file's name


class Reason(StrEnum):
    """Why a file is left out; the values are shown to users."""

    BROKEN = "broken"
    OTHER_KIND = "another kind of file"
    HIDDEN = "hidden"
    LINK = "a link"
    SPECIAL = "a device or another special file"
    UNSAFE_NAME = "a name that leaves its folder"
    TOO_LARGE = "too large"
    ENCRYPTED = "encrypted"
    BESIDE = "beside a sample"  # labels and notes, as WebDataset has them
    EMPTY = "empty"  # rows, and lines between them
    NULL = "null"  # rows


FAULTY = {Reason.BROKEN, Reason.TOO_LARGE, Reason.ENCRYPTED}  # meant to be data, but no use


@dataclass(slots=True)
class Skipped:
    count: int = 0
    examples: list[str] = field(default_factory=list)  # the first few: `name` or `name: message`


@dataclass(slots=True)
class Report:
    """Counts over all files of a data set. Not for several threads at once."""

    usable: int = 0
    skipped: dict[Reason, Skipped] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)  # what else a user should know, a sentence each

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> Self:
        """The report that `dataclasses.asdict` was given."""
        skipped = {Reason(reason): Skipped(**entry) for reason, entry in stored["skipped"].items()}
        return cls(stored["usable"], skipped, stored["notes"])

    def skip(self, reason: Reason, name: str, message: str = "") -> None:
        """Counts a file that is left out."""
        entry = self.skipped.setdefault(reason, Skipped())
        entry.count += 1
        if len(entry.examples) < EXAMPLES:
            name = name if len(name) <= MAX_NAME else name[: MAX_NAME - 1] + "…"
            entry.examples.append(f"{name}: {message}" if message else name)

    def note(self, sentence: str) -> None:
        self.notes.append(sentence)

    def broken(self, name: str, message: str) -> None:
        """Takes a file back that was counted as usable and could not be decoded."""
        self.usable -= 1
        self.skip(Reason.BROKEN, name, message)

    @property
    def faulty_share(self) -> float:
        """The share of the files meant to be data that are unusable."""
        faulty = sum(entry.count for reason, entry in self.skipped.items() if reason in FAULTY)
        return faulty / max(1, faulty + self.usable)

    def check(self, what: str, max_faulty_share: float = 0.5) -> None:
        """Raises InvalidData where nothing is usable or too much is faulty. `what` was looked for: "images"."""
        if not self.usable or self.faulty_share > max_faulty_share:
            raise InvalidData(f"{self.usable} {what} are usable; left out: {self.summary() or 'nothing'}")

    def summary(self) -> str:
        """One line for people: `3 broken (a.jpg: …), 1 hidden (.DS_Store)`."""
        return ", ".join(
            f"{entry.count} {reason} ({entry.examples[0]}{', …' if entry.count > 1 else ''})"
            for reason, entry in self.skipped.items()
        )
