"""The progress of an import on standard error: bars on a terminal, plain lines elsewhere."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from app.commands.output import note
from app.store.progress import ImportProgress

_MB = 1e6
_PERCENT = 10  # between two lines of a transfer


@contextmanager
def show_import(console: Console | None = None) -> Iterator[ImportProgress]:
    """Yields the progress to hand to an import. console: by default, that of standard error."""
    console = console or Console(stderr=True)
    if not console.is_terminal:
        yield ImportLines()
        return
    amount = TextColumn("{task.fields[amount]}", markup=False)
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(20), amount)
    with Progress(*columns, TimeElapsedColumn(), console=console) as bars:
        shown = ImportBars(bars)
        yield shown
        shown.finish()


class ImportLines(ImportProgress):
    """Prints a line for each step, and one for each tenth of a transfer."""

    def __init__(self) -> None:
        self._next = _PERCENT
        self._lock = threading.Lock()

    def begin(self, step: str) -> None:
        note(step)
        self._next = _PERCENT

    def transfer(self, done: int, total: int) -> None:
        with self._lock:
            percent = 100 * done // total if total else 0
            if percent < self._next:
                return
            self._next = percent - percent % _PERCENT + _PERCENT
        note(f"  {_amount(done, total)}")


class ImportBars(ImportProgress):
    """Draws a bar for each step; that of a step without known end pulses until the next one begins."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._task: TaskID | None = None

    def begin(self, step: str) -> None:
        self.finish()
        self._task = self._bars.add_task(step, total=None, amount="")

    def transfer(self, done: int, total: int) -> None:
        if self._task is not None and total:
            self._bars.update(self._task, completed=done, total=total, amount=_amount(done, total))

    def finish(self) -> None:
        """Fills the bar of the current step."""
        if self._task is not None:
            self._bars.update(self._task, completed=1, total=1)
            self._bars.stop_task(self._task)


def _amount(done: int, total: int) -> str:
    return f"{done / _MB:,.1f} of {total / _MB:,.1f} MB"
