"""Pushes to a hub over HTTP, by processes of their own: huggingface_hub reads its environment at import."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.store.manifest import Manifest
from app.store.store import ModelEntry, ModelStore
from app.types import ModalityName, Task
from tests.fakes.hub import FakeRepository, serve_hub
from tests.fakes.tiny_models import tiny_bert_folder

LOAD = """
from transformers import AutoModelForMaskedLM, AutoTokenizer
model, tokenizer = (auto.from_pretrained("org/name") for auto in (AutoModelForMaskedLM, AutoTokenizer))
print(tokenizer("a lion")["input_ids"], model(**tokenizer("a lion", return_tensors="pt")).logits.shape)
"""
TOKENS = {"writes": 200, "reads": 403}


def publish(store: ModelStore, source: Path) -> ModelEntry:
    manifest = Manifest(modality=ModalityName.TEXT, architecture="bert", tasks=(Task.FILL_MASK,), parameters=1)
    return store.publish(source, manifest, name="tiny")


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "store")


def run(hub: str, store: ModelStore, token: str, *command: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {
        "HF_ENDPOINT": hub,
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_OFFLINE": "0",
        "HF_HOME": str(store.root.parent / "hf"),
        "HF_TOKEN": token,
        "CLOZE_ALLOW_HUB": "1",
        "CLOZE_MODEL_STORE": str(store.root),
    }
    return subprocess.run([sys.executable, *command], env=environment, capture_output=True, text=True, timeout=120)


def push(hub: str, store: ModelStore, token: str = "writes") -> subprocess.CompletedProcess[str]:
    return run(hub, store, token, "-m", "app.cli", "models", "push", "org/name", "tiny")


def test_a_pushed_version_is_loaded_from_the_hub(store: ModelStore, tmp_path: Path) -> None:
    entry = publish(store, tiny_bert_folder(tmp_path / "source"))
    old = {"model-00001-of-00002.safetensors": b"old", "notes.md": b"kept"}
    repositories = {"org/name": FakeRepository({"main": old})}
    with serve_hub(repositories, TOKENS) as hub:
        pushed = push(hub, store)
        assert f"Pushed tiny@1: {hub}/org/name/commit/" in pushed.stdout, pushed.stderr
        loaded = run(hub, store, "", "-c", LOAD)
    files = {path.relative_to(entry.path).as_posix(): path.read_bytes() for path in entry.path.rglob("*")}
    assert repositories["org/name"].revisions["main"] == files | {"notes.md": b"kept"}
    assert loaded.stdout.startswith("["), loaded.stderr


def test_a_push_creates_its_repository(store: ModelStore, tmp_path: Path) -> None:
    publish(store, tiny_bert_folder(tmp_path / "source"))
    repositories: dict[str, FakeRepository] = {}
    with serve_hub(repositories, TOKENS) as hub:
        assert push(hub, store).returncode == 0
    assert json.loads(repositories["org/name"].revisions["main"]["config.json"])["model_type"] == "bert"


@pytest.mark.parametrize("token", ["wrong", "reads", ""])
def test_a_token_that_the_hub_refuses(store: ModelStore, tmp_path: Path, token: str) -> None:
    publish(store, tiny_bert_folder(tmp_path / "source"))
    repositories: dict[str, FakeRepository] = {}
    with serve_hub(repositories, TOKENS) as hub:
        refused = push(hub, store, token)
    assert refused.returncode != 0
    assert "the hub does not let this token write to 'org/name'" in " ".join(refused.stderr.split())
    assert "hf auth login" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not repositories


def test_a_card_that_the_hub_refuses(store: ModelStore, tmp_path: Path) -> None:
    source = tiny_bert_folder(tmp_path / "source")
    (source / "README.md").write_text("---\nlicense: [mit]\n---\n")
    publish(store, source)
    with serve_hub({}, TOKENS) as hub:
        refused = push(hub, store)
    assert '"license" must be a string' in " ".join(refused.stderr.split())
    assert "Traceback" not in refused.stderr
