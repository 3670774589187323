"""`cloze models import` from a hub, by a process of its own: huggingface_hub reads its environment at import."""

import os
import subprocess
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file

from tests.fakes.hub import FakeRepository, serve_hub
from tests.fakes.tiny_models import tiny_bert_folder


def test_a_download_is_shown_without_the_bars_of_the_hub(tmp_path: Path) -> None:
    folder = tiny_bert_folder(tmp_path / "model")
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
