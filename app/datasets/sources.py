"""The state of a data set while it is read: its name, its report, and the limit on its unpacked size."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from app.datasets.reports import Reason, Report
from app.errors import AppError, InvalidData, TooLarge
from app.media.limits import MIB
from app.types import Documents

LOOK_SECONDS = 5.0
ROW_COST = 64  # bytes that a row or empty line counts in a look; a look of 16 MiB has at most 262,144 rows
SHOWN = 200  # characters of a name or a library's message


class Exhausted(Exception):
    """Raised when a look at the beginning of a file reaches its limit."""


class Refusal(Exception):
    """Raised by a reader for a file beyond its limits. `reading` converts it to InvalidData with the file's name."""


class Budget:
    """A limit on the unpacked bytes of a file.

    total: limit of the whole file. look: limit of a look at its beginning, which also ends after LOOK_SECONDS.
    """

    def __init__(self, filename: str, total: int, look: int | None = None) -> None:
        self._filename, self._left, self._look = filename, total, look
        self._deadline = time.monotonic() + LOOK_SECONDS

    def spend(self, count: int, rows: int = 0) -> None:
        """Counts bytes, and rows or empty lines. Raises TooLarge beyond `total`, Exhausted beyond `look`."""
        self._left -= count
        if self._left < 0:
            raise TooLarge(f"{self._filename}: unpacks to far more than its own size; compress it less")
        if self._look is not None:
            self._look -= count + rows * ROW_COST
            if self._look < 0 or time.monotonic() > self._deadline:
                raise Exhausted


def unlimited() -> Budget:
    return Budget("", 1 << 62)


class Document(NamedTuple):
    """One text of a data set.

    name: header of a FASTA or FASTQ record, name of a molecule, or path of a whole file of an archive.
    """

    text: str
    name: str = ""


class UnreadableFile(InvalidData):
    """A file that does not have the expected kind of data. In an archive, such files are left out for `reason`."""

    def __init__(self, message: str, reason: Reason = Reason.OTHER_KIND) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class TextSource:
    """One text file, or one file of an archive, with the options of its reader."""

    name: str  # used in messages
    column: str
    documents: Documents = "auto"
    report: Report = field(default_factory=Report)
    budget: Budget = field(default_factory=unlimited)
    member: str = ""  # the path in the archive

    def as_member(self, path: str) -> "TextSource":
        """Returns the source of a file of this archive."""
        return replace(self, name=f"{self.name}/{path}", member=path)

    def row(self, text: str | None, where: str) -> str:
        """Counts a row and returns its text. Reports a null or empty row and returns ""."""
        self.budget.spend(0, rows=1)
        if text is None:
            self.report.skip(Reason.NULL, where)
        elif not text or text.isspace():
            self.report.skip(Reason.EMPTY, where)
        else:
            return text
        return ""


@contextmanager
def reading(place: str, broken: str) -> Iterator[None]:
    """Converts every exception of a third-party reader to InvalidData: `{place}: {broken} (reason)`.

    Readers raise many exceptions for damaged files (struct.error, IndexError, OverflowError, OSError and more), so no
    list of them would be complete. MemoryError becomes TooLarge.
    """
    try:
        yield
    except (AppError, Exhausted):
        raise
    except Refusal as e:
        raise InvalidData(f"{place}: {e}") from e
    except NotImplementedError as e:
        raise InvalidData(f"{place}: its compression method is not supported ({explain(e)})") from e
    except MemoryError as e:
        raise TooLarge(f"{place}: reading it takes more memory than is available") from e
    except Exception as e:
        raise InvalidData(f"{place}: {broken} ({explain(e)})") from e


def explain(error: Exception) -> str:
    """Returns the reason in a library's error, without representations of Python objects."""
    if isinstance(error, UnicodeDecodeError):
        return "a name or a field in it is not UTF-8"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, AssertionError | AttributeError | LookupError | TypeError):
        return "a part of it is missing or wrong"
    text = getattr(error, "strerror", None) or str(error)
    text = re.sub(r"""\bb(?:'[^']*'|"[^"]*")""", "other bytes", text)
    text = re.sub(r"<[\w.]+[^<>]*>", "the file", text)
    text = "".join(character for character in text if character.isprintable() or character.isspace())
    return shorten(" ".join(text.split())) or "for an unknown reason"


def shorten(text: str, most: int = SHOWN) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def replace_surrogates(text: str) -> str:
    """Returns a text that can be encoded."""
    try:
        text.encode()
    except UnicodeEncodeError:  # JSON may contain half of a surrogate pair
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def megabytes(count: int) -> str:
    return f"{count / MIB:,.0f} MiB"
