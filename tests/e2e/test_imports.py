"""Imports over HTTP: a hub's model and uploaded archives, by a real worker, while another job trains."""

import io
import json
import os
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save

from app.store.store import ModelStore
from tests.fakes.cloze import Server, wait_until
from tests.fakes.http import http
from tests.fakes.hub import FakeRepository, serve_hub
from tests.fakes.imports import import_folder
from tests.fakes.tiny_models import CORPUS, tiny_bert_folder
from tests.fakes.warm_starts import SERVERS_AND_JOBS, warm_starts

ENDED = {"succeeded", "failed", "cancelled"}
SENTENCE = "The lions [MASK] the zebras."


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bert_folder(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def held() -> threading.Event:
    """Lets the hub send the weights of `org/slow`."""
    return threading.Event()


@pytest.fixture(scope="module")
def hub(folder: Path, held: threading.Event) -> Iterator[str]:
    files = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    other = {"config.json": b'{"model_type": "llama"}', "model.safetensors": b""}
    repositories = {
        "org/tiny": FakeRepository({"main": files}),
        "org/slow": FakeRepository({"main": files}, held=held),
        "org/llama": FakeRepository({"main": other}),
    }
    with serve_hub(repositories) as address:
        yield address
        held.set()


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory, hub: str, folder: Path) -> Iterator[str]:
    root = tmp_path_factory.mktemp("cloze")
    import_folder(ModelStore(root / "store"), folder, "acme/tiny")
    environment = {
        "HF_ENDPOINT": hub,
        "HF_HUB_OFFLINE": "0",
        "HF_HOME": str(root / "hf"),
        "CLOZE_ALLOW_HUB": "1",
        "CLOZE_HUB_ORGANIZATIONS": "org",
        "CLOZE_MAX_IMPORT_BYTES": str(50_000_000),
    }
    with warm_starts(SERVERS_AND_JOBS, os.environ | environment) as warm:
        server = Server(root, environment=environment | warm)
        try:
            yield server.wait_for(r"Listening on (http://127\.0\.0\.1:\d+)\n")[1]
        finally:
            held_stop = server.stop()
        assert held_stop == 0, server.output


def start(url: str, **body: Any) -> dict[str, Any]:
    answer = http.post(f"{url}/v1/models/import", json=body)
    assert answer.is_success, answer.text
    return dict(answer.json())


def wait(url: str, job: dict[str, Any], states: set[str] = ENDED) -> dict[str, Any]:
    found: dict[str, Any] = {}

    def reached() -> bool:
        found.update(http.get(f"{url}/v1/imports/{job['id']}").raise_for_status().json())
        return found["status"] in states

    wait_until(reached)
    return found


def upload(url: str, filename: str, content: bytes) -> str:
    answer = http.post(f"{url}/v1/files", files={"file": (filename, content)}, data={"purpose": "fine-tune"})
    return str(answer.raise_for_status().json()["id"])


def messages(url: str, job: dict[str, Any]) -> list[str]:
    events = http.get(f"{url}/v1/imports/{job['id']}/events", params={"order": "asc"}).json()["data"]
    return [event["message"] for event in events]


def fill(url: str, model: str) -> dict[str, Any]:
    answer = http.post(f"{url}/v1/fill-mask", json={"model": model, "input": SENTENCE}).raise_for_status().json()
    return {key: value for key, value in answer.items() if key in ("data", "results")}


def test_a_model_of_the_hub_is_imported_while_a_job_trains_and_served(url: str) -> None:
    texts = "\n".join(json.dumps({"text": f"{a} {b}"}) for a in CORPUS for b in CORPUS)
    file = upload(url, "corpus.jsonl", texts.encode())
    training = {"model": "acme/tiny", "training_file": file, "hyperparameters": {"max_steps": 100_000}}
    busy = http.post(f"{url}/v1/pretraining/jobs", json=training).raise_for_status().json()
    wait_until(lambda: http.get(f"{url}/v1/pretraining/jobs/{busy['id']}").json()["status"] == "running")

    job = start(url, source="org/tiny", metadata={"team": "zoo"})
    assert (job["object"], job["kind"], job["name"], job["source"]) == ("model.import", "import", "tiny", "org/tiny")
    job = wait(url, job)
    assert (job["status"], job["model"]) == ("succeeded", "tiny@1"), job["error"]
    assert job["progress"]["percent"] == 100
    told = messages(url, job)
    assert told[-1] == "Succeeded: published tiny@1" or "tiny@1" in told[-1]
    assert any(message.startswith("Downloading org/tiny") for message in told)
    assert fill(url, "tiny") == fill(url, "acme/tiny")
    assert http.get(f"{url}/v1/models/tiny").json()["job_id"] == job["id"]

    # Each kind is listed by its own route, and found by both.
    listed = http.get(f"{url}/v1/imports").json()["data"]
    assert job["id"] in [each["id"] for each in listed]
    assert busy["id"] not in [each["id"] for each in listed]
    trained = [each["id"] for each in http.get(f"{url}/v1/pretraining/jobs").json()["data"]]
    assert busy["id"] in trained
    assert job["id"] not in trained
    assert http.get(f"{url}/v1/pretraining/jobs/{job['id']}").json() == http.get(f"{url}/v1/imports/{job['id']}").json()
    for action in ("pause", "resume", "extend"):
        answer = http.post(f"{url}/v1/pretraining/jobs/{job['id']}/{action}", json={"max_steps": 5})
        assert answer.status_code == 409, answer.text
    assert http.post(f"{url}/v1/pretraining/jobs/{busy['id']}/cancel").is_success
    wait_until(lambda: http.get(f"{url}/v1/pretraining/jobs/{busy['id']}").json()["status"] == "cancelled")


def test_a_download_can_be_cancelled(url: str, held: threading.Event) -> None:
    job = start(url, source="org/slow")
    wait_until(lambda: any(message.startswith("Downloading org/slow") for message in messages(url, job)))
    assert http.post(f"{url}/v1/imports/{job['id']}/cancel").json()["cancel_requested"]
    held.set()
    assert wait(url, job)["status"] == "cancelled"
    assert http.get(f"{url}/v1/models/slow").status_code == 404
    assert http.delete(f"{url}/v1/imports/{job['id']}").json()["deleted"]


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz", ".zip"])
def test_an_uploaded_archive_is_imported(url: str, folder: Path, suffix: str) -> None:
    """The archive of another server, or a folder that somebody packed."""
    exported = suffix == ".tar"
    content = http.get(f"{url}/v1/models/acme/tiny/archive").content if exported else pack(folder, suffix)
    job = wait(
        url, start(url, file=upload(url, f"My model{suffix}", content), name=f"packed{suffix.replace('.', '-')}")
    )
    assert job["status"] == "succeeded", job["error"]
    assert fill(url, job["model"]) == fill(url, "acme/tiny")


def pack(folder: Path, suffix: str) -> bytes:
    """The files within a folder of the archive, beside some that an import has to leave out."""
    stream = io.BytesIO()
    files = sorted(path for path in folder.iterdir() if path.is_file())
    if suffix == ".zip":
        with zipfile.ZipFile(stream, "w") as archive:
            for path in files:
                archive.write(path, f"tiny/{path.name}")
            archive.writestr("tiny/../../escape.json", "{}")
    else:
        with tarfile.open(fileobj=stream, mode="w:gz") as packed:
            for path in files:
                packed.add(path, f"tiny/{path.name}")
            link = tarfile.TarInfo("tiny/vocab.json")
            link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
            packed.addfile(link)
    return stream.getvalue()


def test_what_cannot_be_imported_says_why(url: str) -> None:
    refused: list[tuple[dict[str, Any], int, str]] = [
        ({}, 422, "give either `source` or `file`"),
        ({"source": "other/model"}, 403, "organization that is not allowed"),
        ({"source": "../tests"}, 422, "not a hub id"),
        ({"source": "/etc"}, 422, "not a hub id"),
        ({"source": "org/tiny", "name": "../up"}, 422, "name"),
        ({"source": "org/tiny", "name": "bert-tiny"}, 422, "it is a preset"),
        ({"file": "file-0"}, 404, "no file"),
    ]
    for body, status, message in refused:
        answer = http.post(f"{url}/v1/models/import", json=body)
        assert answer.status_code == status, answer.text
        assert message in answer.json()["error"]["message"]
        assert body.get("name") is None or answer.json()["error"]["param"] == "name"
    failing = [
        ({"source": "org/none"}, "model_not_found", "no public model"),
        ({"source": "org/llama"}, "invalid_model", "llama"),
        ({"file": upload(url, "notes.tar", b"no archive")}, "invalid_data", "not a .tar"),
        ({"file": upload(url, "empty.zip", zip_of({"a.txt": "text"}))}, "invalid_model", "config.json"),
        ({"file": upload(url, "list.zip", zip_of({"config.json": "[]"}))}, "invalid_model", "list.zip"),
        ({"file": upload(url, "huge.zip", zip_of({"config.json": "0" * 60_000_000}))}, "too_large", "bytes"),
    ]
    jobs = [(start(url, **body), code, message) for body, code, message in failing]
    for job, code, message in jobs:
        ended = wait(url, job)
        assert (ended["status"], ended["error"]["code"]) == ("failed", code), ended
        assert message in ended["error"]["message"]


def test_an_adapter_is_merged_into_a_stored_base(url: str) -> None:
    """A LoRA adapter that changes nothing: its second matrix is zero."""
    query = "base_model.model.bert.encoder.layer.0.attention.self.query"
    weights = {f"{query}.lora_A.weight": torch.ones(2, 32), f"{query}.lora_B.weight": torch.zeros(32, 2)}
    config = {"peft_type": "LORA", "base_model_name_or_path": "somewhere", "r": 2, "lora_alpha": 4}
    files = {"a/adapter_config.json": json.dumps(config), "a/adapter_model.safetensors": save(weights)}
    file = upload(url, "adapter.zip", zip_of(files))
    unknown = http.post(f"{url}/v1/models/import", json={"file": file, "base": "nobody"})
    assert (unknown.status_code, unknown.json()["error"]["param"]) == (404, "base")
    job = wait(url, start(url, file=file, base="acme/tiny"))
    assert (job["status"], job["model"], job["base"]) == ("succeeded", "adapter@1", "acme/tiny@1"), job["error"]
    assert fill(url, "adapter") == fill(url, "acme/tiny")
    assert http.get(f"{url}/v1/models/adapter").json()["parents"] == ["acme/tiny@1"]


def zip_of(files: dict[str, Any]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return stream.getvalue()
