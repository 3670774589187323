"""What became of the files of a data set: how many are usable, and why others are not."""

from dataclasses import dataclass, field
from enum import StrEnum

from app.errors import InvalidData

EXAMPLES = 5


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

    def skip(self, reason: Reason, name: str, message: str = "") -> None:
        """Counts a file that is left out."""
        entry = self.skipped.setdefault(reason, Skipped())
        entry.count += 1
        if len(entry.examples) < EXAMPLES:
            entry.examples.append(f"{name}: {message}" if message else name)

    def broken(self, name: str, message: str) -> None:
        """Takes a file back that was counted as usable and could not be decoded."""
        self.usable -= 1
        self.skip(Reason.BROKEN, name, message)

    @property
    def faulty_share(self) -> float:
        """Of the files that were meant to be data, how many are of no use."""
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
