"""The model store in a bucket of a real S3 server: conditions, killed publishers, errors at the start."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app import cli
from app.errors import NotReady
from app.settings import Settings
from app.store.manifest import Manifest
from app.store.opening import open_model_bucket, open_store
from app.types import ModalityName, Task
from tests.fakes.s3_server import BUCKET, s3_server

MANIFEST = Manifest(modality=ModalityName.TEXT, architecture="bert", tasks=(Task.EMBED,), parameters=7)
PUBLISH = """
import os, sys
from pathlib import Path
from app.settings import Settings
from app.store.manifest import Manifest
from app.store.opening import open_store

store, made = open_store(Settings()), Manifest.model_validate_json(sys.argv[2])
fence = (lambda: os._exit(9)) if sys.argv[3] == "die" else None
print(store.publish(Path(sys.argv[1]), made, name="m", fence=fence).id)
"""


@pytest.fixture(scope="module")
def variables(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    with s3_server(tmp_path_factory.mktemp("s3")) as variables:
        yield variables


@pytest.fixture
def settings(
    variables: Mapping[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Settings:
    """A store of its own in the bucket, for this process and for those that it starts."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CLOZE_MODEL_STORE", f"s3://{BUCKET}/{request.node.name}")
    monkeypatch.setenv("CLOZE_VAR_DIR", str(tmp_path / "var"))
    return Settings()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "trained"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(os.urandom(9 * 2**20))  # two parts of a multipart upload
    return folder


def start_publisher(folder: Path, how: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", PUBLISH, str(folder), MANIFEST.model_dump_json(), how]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_processes_that_publish_at_once_get_different_versions(settings: Settings, folder: Path) -> None:
    publishers = [start_publisher(folder, "live") for _ in range(3)]
    published = [publisher.communicate(timeout=120)[0].strip() for publisher in publishers]
    assert sorted(published) == ["m@1", "m@2", "m@3"]
    store = open_store(settings, check=True)
    assert [entry.id for entry in store.list()] == ["m@3", "m@2", "m@1"]
    weights = store.resolve("m").path / "model.safetensors"
    assert weights.read_bytes() == (folder / "model.safetensors").read_bytes()


def test_one_number_has_one_winner(settings: Settings, folder: Path) -> None:
    together = threading.Barrier(2)
    first = threading.local()

    def wait() -> None:
        if not hasattr(first, "passed"):
            first.passed = True
            together.wait(60)

    with ThreadPoolExecutor(2) as threads:
        found = [threads.submit(open_store(settings).publish, folder, MANIFEST, name="m", fence=wait) for _ in range(2)]
        assert sorted(each.result(60).id for each in found) == ["m@1", "m@2"]


def test_a_killed_publisher_leaves_nothing_visible(settings: Settings, folder: Path) -> None:
    publisher = start_publisher(folder, "die")
    publisher.communicate(timeout=120)
    assert publisher.returncode == 9
    assert open_store(settings).list() == []
    bucket = open_model_bucket(str(settings.model_store))
    assert len(list(bucket.list("content"))) == 2
    kept = CliRunner().invoke(cli.app, ["models", "gc"], catch_exceptions=False)
    assert kept.stdout.startswith("Deleted 0 objects")
    assert open_store(settings).publish(folder, MANIFEST, name="m").id == "m@1"
    open_store(settings).delete("m")
    assert open_store(settings).publish(folder, MANIFEST, name="m").id == "m@2"


def test_a_bucket_that_cannot_be_used_is_named_with_its_setting(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = settings.model_copy(update={"model_store": "s3://nowhere/models"})
    with pytest.raises(NotReady, match=r"CLOZE_MODEL_STORE: .*s3://nowhere/models.*does not exist"):
        open_store(missing, check=True)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    with pytest.raises(NotReady, match=r"CLOZE_MODEL_STORE: s3://models/.* does not answer"):
        open_store(settings, check=True)
