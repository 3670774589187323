"""The progress of `cloze models import`: bars on a terminal, plain lines elsewhere."""

import io

import pytest
from rich.console import Console

from app.commands.import_progress import show_import


def test_a_terminal_shows_a_bar_for_each_step() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=100, color_system=None)
    with show_import(console) as progress:
        progress.begin("Downloading [org]/tiny")
        progress.transfer(1_500_000, 6_000_000)
        progress.begin("Copying the model into the store")
    assert isinstance(console.file, io.StringIO)
    drawn = console.file.getvalue().splitlines()
    assert any("Downloading [org]/tiny" in line and "1.5 of 6.0 MB" in line for line in drawn)
    assert any("Copying the model into the store" in line for line in drawn)


def test_other_outputs_get_a_line_for_each_step_and_tenth(capsys: pytest.CaptureFixture[str]) -> None:
    with show_import(Console(file=io.StringIO())) as progress:
        for step in ("Downloading org/tiny", "Downloading org/other"):
            progress.begin(step)
            for done in range(0, 4_000_001, 20_000):
                progress.transfer(done, 4_000_000)
        progress.transfer(5, 0)  # of unknown size
    lines = capsys.readouterr().err.splitlines()
    assert lines[:3] == ["Downloading org/tiny", "  0.4 of 4.0 MB", "  0.8 of 4.0 MB"]
    assert lines[10:] == ["  4.0 of 4.0 MB", "Downloading org/other", *lines[1:11]]
