"""A data set while it is read: its name, its report, and the bound on what it may unpack to."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from app.datasets.reports import Reason, Report
from app.errors import AppError, InvalidData, TooLarge
from app.media.limits import MIB

LOOK_SECONDS = 5.0
ROW_COST = 64  # bytes of a look that each row or empty line takes: 16 MiB are at most 262,144 of them
SHOWN = 200  # characters of a name or a library's message


class Exhausted(Exception):
    """Ends a look at the beginning of a file when it reaches its bound."""


class Refusal(Exception):
    """A limit of a reader that does not know the name of what it reads; `reading` adds it."""


class Budget:
    """Counts the bytes that a file may still unpack to.

    `total` bounds the whole file; `look` bounds a look at its beginning, which also has LOOK_SECONDS.
    """

    def __init__(self, filename: str, total: int, look: int | None = None) -> None:
        self._filename, self._left, self._look = filename, total, look
        self._deadline = time.monotonic() + LOOK_SECONDS

    def spend(self, count: int, rows: int = 0) -> None:
        """Counts bytes, and rows or empty lines. Raises TooLarge beyond the total, Exhausted beyond a look's bound."""
        self._left -= count
        if self._left < 0:
            raise TooLarge(f"{self._filename}: unpacks to far more than its own size; pack it less tightly")
        if self._look is not None:
            self._look -= count + rows * ROW_COST
            if self._look < 0 or time.monotonic() > self._deadline:
                raise Exhausted


def unlimited() -> Budget:
    return Budget("", 1 << 62)


@dataclass(frozen=True)
class Source:
    """One text file, or one file of an archive, and what its reader needs to know."""

    name: str  # shown in messages
    column: str
    report: Report = field(default_factory=Report)
    budget: Budget = field(default_factory=unlimited)

    def named(self, name: str) -> "Source":
        return replace(self, name=name)

    def row(self, text: str | None, where: str) -> str:
        """The text of a row; "" where it is null or empty, which is reported."""
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
    """Turns every exception of a third-party reader into InvalidData: `{place}: {broken} (reason)`.

    Readers meet damaged bytes with any exception (struct.error, IndexError, OverflowError, OSError and
    more), so no list of them would be complete. Raises TooLarge where they ask for too much memory.
    """
    try:
        yield
    except (AppError, Exhausted):
        raise
    except Refusal as e:
        raise InvalidData(f"{place}: {e}") from e
    except NotImplementedError as e:
        raise InvalidData(f"{place}: compressed in a way that cannot be read ({explain(e)})") from e
    except MemoryError as e:
        raise TooLarge(f"{place}: reading it takes more memory than there is") from e
    except Exception as e:
        raise InvalidData(f"{place}: {broken} ({explain(e)})") from e


def explain(error: Exception) -> str:
    """The reason that a library gives, without Python's objects."""
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


def megabytes(count: int) -> str:
    return f"{count / MIB:,.0f} MiB"
