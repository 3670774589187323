"""The progress of `cloze models import`: bars on a terminal, plain lines elsewhere."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from app.commands.import_progress import show_import
from tests.fakes.hub import FakeRepository, serve_hub
from tests.fakes.tiny_models import tiny_bert_folder


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


@pytest.mark.parametrize("pickled", [False, True])
def test_a_download_is_shown_without_the_bars_of_the_hub(tmp_path: Path, pickled: bool) -> None:
    folder = tiny_bert_folder(tmp_path / "model")
    if pickled:
        import torch
        from safetensors.torch import load_file

        torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
        (folder / "model.safetensors").unlink()
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    with serve_hub({"org/tiny": FakeRepository({"main": files})}) as hub:
        environment = {name: value for name, value in os.environ.items() if name != "HF_HUB_DISABLE_PROGRESS_BARS"} | {
            "HF_ENDPOINT": hub,
            "HF_HUB_OFFLINE": "0",
            "HF_HOME": str(tmp_path / "hf"),
            "CLOZE_ALLOW_HUB": "1",
            "CLOZE_MODEL_STORE": str(tmp_path / "store"),
        }
        command = [sys.executable, "-m", "app.cli", "models", "import", "org/tiny", "--name", "tiny"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=True)
    size = sum(map(len, files.values())) / 1e6
    steps = [line for line in done.stderr.splitlines() if not line.startswith("  ")]
    assert f"  {size:,.1f} of {size:,.1f} MB" in done.stderr.splitlines()
    assert steps == [
        "Downloading org/tiny",
        "Reading the weights",
        "Loading the model and comparing its answers with those of transformers",
        "Copying the model into the store",
    ]
    assert done.stdout.startswith("Imported tiny@1: ")
