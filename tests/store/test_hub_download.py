"""Imports from a hub. Each runs in a process of its own, since huggingface_hub reads its environment at import."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from app.store.store import ModelStore
from tests.fakes.hub import FakeRepository, serve_hub

FILES = {
    "config.json": '{"model_type": "bert"}',
    "model.safetensors": "weights",
    "pytorch_model.bin": "pickle",
    "modeling_custom.py": "raise SystemExit",
    "vocab.txt": "[PAD]",
    "1_Pooling/config.json": "{}",
    "onnx/model.onnx": "graph",
    "README.md": "# A model",
}

SCRIPT = """
import sys
from dataclasses import replace
from pathlib import Path
from app.errors import AppError, InvalidModel
from functools import partial
from app.store.hub import HubAccess, find_source
from app.store.importer import ImportOptions, ImportTools, import_model
from app.store.store import ModelStore
from app.types import ModalityName, Task

class Model:
    modality, tasks, forward_path, unsupported = ModalityName.TEXT, {Task.EMBED: None}, None, {}
    classifier = None
    def parameter_count(self): return 42

def check(folder):
    print("judged", sorted(file.name for file in folder.iterdir()), end=" ")

def convert(files, target):
    (target / "model.safetensors").write_bytes(next(iter(files.values())).read_bytes())

def find_architecture(folder):
    assert (folder / "model.safetensors").is_file()
    raise InvalidModel("config.json names no model_type")

tools = ImportTools(check=check, find_architecture=find_architecture, load=lambda _: Model(), convert=convert,
                    strip_prefixes=lambda _: None, write_fast_tokenizer=lambda _: None,
                    write_tokenizer=None, check_adapter=None, merge_adapter=None)
try:
    fetch = partial(find_source, sys.argv[2], HubAccess(allowed=True))
    entry = import_model(ModelStore(Path(sys.argv[1])), sys.argv[2], "m", fetch=fetch, tools=tools,
                         options=ImportOptions(architecture=sys.argv[3] or None))
    print(entry.id, entry.manifest.architecture, entry.manifest.description, sorted(entry.manifest.files))
except AppError as error:
    print(error.code, error.message)
"""


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "store")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "downloaded"
    for name, content in FILES.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    return folder


def files_of(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def download(store: ModelStore, tmp_path: Path) -> Callable[[str, Mapping[str, FakeRepository]], str]:
    """Imports a source from a hub of these repositories, and returns what came of it."""

    def run(source: str, repositories: Mapping[str, FakeRepository], architecture: str = "") -> str:
        with serve_hub(repositories) as hub:
            # A process of its own: huggingface_hub reads its environment once, at import.
            environment = os.environ | {"HF_ENDPOINT": hub, "HF_HUB_OFFLINE": "0", "HF_HOME": str(tmp_path / "hf")}
            command = [sys.executable, "-c", SCRIPT, str(store.root), source, architecture]
            done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=True)
            return done.stdout.strip()

    return run


Download = Callable[..., str]


def test_a_hub_repository_is_judged_downloaded_and_pinned(download: Download, folder: Path, tmp_path: Path) -> None:
    tiny = FakeRepository({"main": files_of(folder), "v1": files_of(folder)})
    files = ["1_Pooling/config.json", "README.md", "config.json", "model.safetensors", "vocab.txt"]
    judged = ["1_Pooling", "README.md", "config.json", "vocab.txt"]
    for source, revision in (("org/tiny", "main"), ("org/tiny@v1", "v1")):
        answer = download(source, {"org/tiny": tiny})
        assert answer.startswith(f"judged {judged} ")
        assert answer.endswith(f"Imported from org/tiny@{tiny.commit(revision)} {files}")
    assert not list((tmp_path / "hf").rglob("*.bin"))


def test_a_checkpoint_of_the_hub_is_converted(download: Download, store: ModelStore, folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    answer = download("org/old", {"org/old": FakeRepository({"main": files_of(folder)}, {7: "somebody"})})
    assert "model.safetensors" in answer
    assert [source.filename for source in store.resolve("m").manifest.converted_from] == ["pytorch_model.bin"]


def test_an_older_folder_of_sentence_transformers_is_downloaded(
    download: Download, store: ModelStore, folder: Path
) -> None:
    files = {f"0_Transformer/{name}": content for name, content in files_of(folder).items() if "/" not in name}
    del files["0_Transformer/model.safetensors"]
    modules = [{"type": "a.Transformer", "path": "0_Transformer"}, {"type": "a.Dense", "path": "2_Dense"}]
    files |= {"modules.json": json.dumps(modules).encode(), "2_Dense/pytorch_model.bin": b"dense"}
    download("org/old", {"org/old": FakeRepository({"main": files})})
    entry = store.resolve("m")
    converted = [source.filename for source in entry.manifest.converted_from]
    assert converted == ["pytorch_model.bin", "2_Dense/pytorch_model.bin"]
    assert {"config.json", "vocab.txt", "model.safetensors", "2_Dense/model.safetensors"} <= set(entry.manifest.files)
    assert [each["path"] for each in json.loads((entry.path / "modules.json").read_text())] == ["", "2_Dense"]


def test_the_architecture_of_a_hub_model_can_be_named(download: Download, folder: Path) -> None:
    (folder / "config.json").write_text("{}")
    repository = {"org/old": FakeRepository({"main": files_of(folder)})}
    assert "names no model_type" in download("org/old", repository)
    assert "m@1 albert" in download("org/old", repository, "albert")


def test_the_hubs_own_conversion_is_preferred(download: Download, store: ModelStore, folder: Path) -> None:
    converted = files_of(folder)
    old = {name: content for name, content in converted.items() if name != "model.safetensors"}
    repository = FakeRepository({"main": old, "refs/pr/3": converted}, {2: "somebody", 3: "SFconvertbot"})
    assert f"org/old@{repository.commit('refs/pr/3')}" in download("org/old", {"org/old": repository})
    assert store.resolve("m").manifest.converted_from == ()


@pytest.mark.parametrize(
    ("source", "answer"),
    [
        ("org/none", "model_not_found the hub has no public model 'org/none'"),
        ("org/gated", "model_not_found 'org/gated' is gated: ask for access on its page"),
        ("org/tiny@v9", "model_not_found 'org/tiny' has no revision 'v9'"),
        ("no such folder", "invalid_value 'no such folder' is neither a folder nor a hub id"),
    ],
)
def test_failing_downloads_are_one_clear_error(
    download: Download, store: ModelStore, folder: Path, source: str, answer: str
) -> None:
    files = {"main": files_of(folder)}
    repositories = {"org/tiny": FakeRepository(files), "org/gated": FakeRepository(files, gated=True)}
    assert download(source, repositories).startswith(answer)
    assert store.list() == []


@pytest.mark.parametrize("fault", ["broken", "resized"])
def test_a_download_that_breaks_names_the_file(
    download: Download, store: ModelStore, folder: Path, fault: Literal["broken", "resized"]
) -> None:
    """The connection ends within a file, again and again, or there are more bytes than the hub said."""
    files = frozenset({"model.safetensors"})
    repository = replace(FakeRepository({"main": files_of(folder)}), **{fault: files})
    answer = download("org/tiny", {"org/tiny": repository})
    assert "not_ready model.safetensors of 'org/tiny' could not be downloaded: " in answer
    assert store.list() == []
