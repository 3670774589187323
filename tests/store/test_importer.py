import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from app.errors import InvalidModel, InvalidValue, ModelNotFound
from app.store.importer import import_model
from app.store.manifest import DataSource, Manifest
from app.store.store import ModelStore
from app.types import ModalityName, Task


class FakeModel:
    modality = ModalityName.TEXT

    def __init__(self, tasks: Mapping[Task, Any]) -> None:
        self.tasks = tasks

    def parameter_count(self) -> int:
        return 42


def load(folder: Path) -> FakeModel:
    assert (folder / "config.json").is_file()
    assert not list(folder.glob("*.py"))
    return FakeModel({Task.EMBED: None, Task.FILL_MASK: None})


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "store")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "downloaded"
    (folder / "1_Pooling").mkdir(parents=True)
    (folder / "onnx").mkdir()
    (folder / "config.json").write_text('{"model_type": "bert"}')
    (folder / "model.safetensors").write_bytes(b"weights")
    (folder / "pytorch_model.bin").write_bytes(b"pickle")
    (folder / "modeling_custom.py").write_text("raise SystemExit")
    (folder / "vocab.txt").write_text("[PAD]")
    (folder / "1_Pooling" / "config.json").write_text("{}")
    (folder / "onnx" / "model.onnx").write_bytes(b"graph")
    (folder / "README.md").write_text("---\nlanguage: en\nlicense: apache-2.0\n---\n# A model\n")
    return folder


def test_a_folder_is_published_without_pickles_and_code(store: ModelStore, folder: Path) -> None:
    entry = import_model(store, str(folder), "org/m", allow_hub=False, load=load)
    assert store.resolve("org/m") == entry
    assert set(entry.manifest.files) == {
        *("config.json", "model.safetensors", "vocab.txt", "1_Pooling/config.json", "README.md")
    }
    assert not any(path.is_symlink() for path in entry.path.rglob("*"))
    manifest = entry.manifest
    assert (manifest.modality, manifest.architecture, manifest.parameters) == (ModalityName.TEXT, "bert", 42)
    assert manifest.tasks == (Task.EMBED, Task.FILL_MASK, Task.SCORE)
    assert manifest.license == "apache-2.0"
    assert manifest.description == f"Imported from {folder}"


def test_a_folder_of_another_store_keeps_its_provenance(store: ModelStore, folder: Path) -> None:
    data = DataSource(filename="wiki.txt", bytes=3, sha256="00")
    earlier = Manifest(
        modality="text",
        architecture="bert",
        tasks=["embeddings"],
        parameters=1,
        job_id="job-1",
        parents=["base@1"],
        data=[data],
        metrics={"loss": 2.0},
        description="Made elsewhere",
    )
    (folder / "manifest.json").write_text(earlier.model_dump_json())
    manifest = import_model(store, str(folder), "m", allow_hub=False, load=load).manifest
    assert (manifest.parents, manifest.data, manifest.metrics) == (("base@1",), (data,), {"loss": 2.0})
    assert manifest.description == "Made elsewhere"
    assert manifest.job_id is None
    assert manifest.parameters == 42


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (None, "has no config.json"),
        ("{", "not valid JSON"),
        ("[]", "names no model_type"),
        ('{"model_type": "x", "auto_map": {"AutoModel": "modeling_custom.Model"}}', "never run"),
    ],
)
def test_unusable_configurations_are_refused(store: ModelStore, folder: Path, config: str | None, message: str) -> None:
    (folder / "config.json").unlink() if config is None else (folder / "config.json").write_text(config)
    with pytest.raises(InvalidModel, match=message):
        import_model(store, str(folder), "m", allow_hub=False, load=load)
    assert store.list() == []


def test_pickled_weights_are_refused(store: ModelStore, folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    with pytest.raises(InvalidModel, match=r"pytorch_model\.bin could run code"):
        import_model(store, str(folder), "m", allow_hub=False, load=load)


def test_what_does_not_load_is_not_published(store: ModelStore, folder: Path) -> None:
    def fail(folder: Path) -> FakeModel:
        raise InvalidModel("weights of the wrong shape")

    with pytest.raises(InvalidModel, match="wrong shape"):
        import_model(store, str(folder), "m", allow_hub=False, load=fail)
    with pytest.raises(InvalidModel, match="no task"):
        import_model(store, str(folder), "m", allow_hub=False, load=lambda _: FakeModel({}))
    assert store.list() == []


def test_a_bad_name_is_refused_first(store: ModelStore, folder: Path) -> None:
    with pytest.raises(InvalidValue, match="not a model name"):
        import_model(store, str(folder), "../m", allow_hub=False, load=load)


def test_the_hub_is_off_unless_allowed(store: ModelStore) -> None:
    with pytest.raises(ModelNotFound, match="CLOZE_ALLOW_HUB=1"):
        import_model(store, "org/tiny", "m", allow_hub=False, load=load)


COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def hub(folder: Path) -> Iterator[str]:
    """A server that answers as the hub does for one repository, org/tiny."""
    files = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}

    class Hub(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path.startswith("/api/models/org/tiny"):
                siblings = [{"rfilename": name, "size": len(content)} for name, content in files.items()]
                tree = [{"type": "file", "path": n, "size": len(c), "oid": "0"} for n, c in files.items()]
                info = {"id": "org/tiny", "sha": COMMIT, "siblings": siblings}
                self._answer(200, json.dumps(tree if "/tree/" in path else info).encode())
            elif path.startswith("/org/tiny/resolve/") and (name := path.split("/", 5)[5]) in files:
                self._answer(200, files[name])
            else:
                self._answer(404, b"{}", {"X-Error-Code": "RepoNotFound"})

        do_HEAD = do_GET

        def _answer(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
            self.send_response(status)
            digest = hashlib.sha256(body).hexdigest()
            described = {"Content-Length": str(len(body)), "ETag": f'"{digest}"', "X-Repo-Commit": COMMIT}
            for key, value in (described | dict(headers or {})).items():
                self.send_header(key, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


SCRIPT = """
import sys
from pathlib import Path
from app.errors import AppError
from app.store.importer import import_model
from app.store.store import ModelStore
from app.types import ModalityName, Task

class Model:
    modality, tasks = ModalityName.TEXT, {Task.EMBED: None}
    def parameter_count(self): return 42

try:
    entry = import_model(ModelStore(Path(sys.argv[1])), sys.argv[2], "m", allow_hub=True, load=lambda _: Model())
    print(entry.id, entry.manifest.description, sorted(entry.manifest.files))
except AppError as error:
    print(error.code, error.message)
"""


def import_from(hub: str, store: ModelStore, source: str, tmp_path: Path) -> str:
    # A process of its own: huggingface_hub reads its environment once, at import.
    environment = os.environ | {"HF_ENDPOINT": hub, "HF_HUB_OFFLINE": "0", "HF_HOME": str(tmp_path / "hf")}
    command = [sys.executable, "-c", SCRIPT, str(store.root), source]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout.strip()


def test_a_hub_repository_is_downloaded_and_pinned(store: ModelStore, hub: str, tmp_path: Path) -> None:
    files = ["1_Pooling/config.json", "README.md", "config.json", "model.safetensors", "vocab.txt"]
    assert import_from(hub, store, "org/tiny", tmp_path) == f"m@1 Imported from org/tiny@{COMMIT} {files}"
    assert not list((tmp_path / "hf").rglob("*.bin"))


@pytest.mark.parametrize(
    ("source", "answer"),
    [
        ("org/none", "model_not_found the hub has no public model 'org/none'"),
        ("no such folder", "invalid_value 'no such folder' is neither a folder nor a hub id"),
    ],
)
def test_failing_downloads_are_one_clear_error(
    store: ModelStore, hub: str, tmp_path: Path, source: str, answer: str
) -> None:
    assert import_from(hub, store, source, tmp_path).startswith(answer)
    assert store.list() == []


def refusal(store: ModelStore, folder: Path) -> str:
    with pytest.raises(InvalidModel) as caught:
        import_model(store, str(folder), "m", allow_hub=False, load=load)
    assert store.list() == []
    return caught.value.message


@pytest.mark.parametrize("name", ["config.json", "README.md", "notes.txt", "1_Pooling/config.json", "LICENSE"])
def test_a_link_out_of_the_folder_is_refused(store: ModelStore, folder: Path, tmp_path: Path, name: str) -> None:
    secret = tmp_path / "secret"
    secret.write_text('{"model_type": "bert"}')
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to(secret)
    assert refusal(store, folder) == f"{name} is a link that leads out of the model's folder"


def test_a_linked_folder_is_refused(store: ModelStore, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "secret.json").write_text("{}")
    (folder / "2_Dense").symlink_to(tmp_path / "elsewhere")
    assert "2_Dense/secret.json is a link that leads out" in refusal(store, folder)


def test_links_that_lead_nowhere_are_refused(store: ModelStore, folder: Path) -> None:
    (folder / "a.json").symlink_to("nothing")
    assert refusal(store, folder) == "a.json leads to no file"
    (folder / "a.json").unlink()
    (folder / "a.json").symlink_to("a.json")
    assert refusal(store, folder) == "a.json leads to no file"


@pytest.mark.parametrize("name", ["config.json", "pipe.json", "README.md"])
def test_a_pipe_is_refused_and_not_waited_for(store: ModelStore, folder: Path, name: str) -> None:
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)
    assert refusal(store, folder) == f"{name} is neither a file nor a folder"


def test_a_device_is_refused(store: ModelStore, folder: Path) -> None:
    (folder / "zero.txt").symlink_to("/dev/zero")
    assert "zero.txt is a link that leads out" in refusal(store, folder)


def test_links_and_hard_links_within_the_folder_are_taken(store: ModelStore, folder: Path) -> None:
    (folder / "merges.txt").symlink_to("vocab.txt")
    os.link(folder / "vocab.txt", folder / "words.txt")
    entry = import_model(store, str(folder), "m", allow_hub=False, load=load)
    assert {"merges.txt", "words.txt"} <= set(entry.manifest.files)
    assert (entry.path / "merges.txt").read_text() == "[PAD]" and not (entry.path / "merges.txt").is_symlink()


def test_a_snapshot_of_the_hubs_cache_links_to_its_blobs_and_to_no_others(
    store: ModelStore, folder: Path, tmp_path: Path
) -> None:
    model = tmp_path / "hub" / "models--org--m"
    snapshot, blobs = model / "snapshots" / "abc", model / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    for name in ("config.json", "model.safetensors", "vocab.txt"):
        (folder / name).rename(blobs / name)
        (snapshot / name).symlink_to(f"../../blobs/{name}")
    assert import_model(store, str(snapshot), "m", allow_hub=False, load=load).id == "m@1"
    other = tmp_path / "hub" / "models--org--other" / "blobs"
    other.mkdir(parents=True)
    (other / "private.txt").write_text("private")
    (snapshot / "private.txt").symlink_to("../../../models--org--other/blobs/private.txt")
    with pytest.raises(InvalidModel, match=r"private\.txt is a link that leads out"):
        import_model(store, str(snapshot), "m", allow_hub=False, load=load)


def test_a_deeply_nested_configuration_is_refused(store: ModelStore, folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type": "bert", "a": ' + "[" * 200_000 + "]" * 200_000 + "}")
    assert "recursion limit" in refusal(store, folder)


@pytest.mark.parametrize(
    ("card", "license"),
    [
        ("---\nlicense: mit\n---\n", "mit"),
        ("---\r\nlanguage: en\r\nlicense: mit\r\n---\r\n", "mit"),
        ("--- \nlicense:   apache-2.0  \nlicense: mit\n---", "apache-2.0"),
        ("---\nlicense: two words\n---\n", None),
        ("---\nlicense:\n---\n", None),
        ("license: mit\n", None),
        ("---\nname: x\n---\nlicense: mit\n", None),
        ("---\n" + "license: x\n" * 200_000, None),  # no end: a regular expression would look for one for minutes
        ("", None),
    ],
    ids=range(9),
)
def test_the_license_of_a_card(store: ModelStore, folder: Path, card: str, license: str | None) -> None:
    (folder / "README.md").write_text(card, newline="")
    assert import_model(store, str(folder), "m", allow_hub=False, load=load).manifest.license == license
