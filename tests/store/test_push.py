"""Pushes to the hub: the calls of its client, and its refusals."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from huggingface_hub import HfApi
from huggingface_hub.errors import LocalTokenNotFoundError

from app.errors import InvalidValue, NotReady
from app.store.manifest import Manifest
from app.store.push import push_model
from app.store.store import ModelEntry, ModelStore
from app.types import ModalityName, Task


class FakeApi:
    """Records the calls. refusal: raised instead of creating a repository."""

    def __init__(self, refusal: Exception | None = None) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self._refusal = refusal

    def create_repo(self, repo_id: str, **options: Any) -> None:
        if self._refusal is not None:
            raise self._refusal
        self.calls.append(("create_repo", {"repo_id": repo_id, **options}))

    def upload_folder(self, **options: Any) -> Any:
        self.calls.append(("upload_folder", options))
        return SimpleNamespace(commit_url="https://hub.example/org/name/commit/1")


@pytest.fixture
def entry(tmp_path: Path) -> ModelEntry:
    source = tmp_path / "source"
    source.mkdir()
    (source / "model.safetensors").write_bytes(b"weights")
    manifest = Manifest(modality=ModalityName.TEXT, architecture="bert", tasks=(Task.EMBED,), parameters=1)
    return ModelStore(tmp_path / "store").publish(source, manifest, name="tiny")


@pytest.mark.parametrize(("private", "sent"), [(False, None), (True, True)])
def test_a_version_becomes_one_commit(entry: ModelEntry, private: bool, sent: bool | None) -> None:
    api = FakeApi()
    assert push_model(entry, "org/name", private=private, api=api) == "https://hub.example/org/name/commit/1"
    (_, created), (_, uploaded) = api.calls
    assert created == {"repo_id": "org/name", "private": sent, "exist_ok": True}
    assert uploaded == {
        "repo_id": "org/name",
        "folder_path": str(entry.path),
        "commit_message": "Upload tiny@1 from Cloze",
        "delete_patterns": ["*.safetensors", "*.safetensors.index.json"],
    }


def test_refusals_are_explained_in_one_line(entry: ModelEntry) -> None:
    refusing = FakeApi(LocalTokenNotFoundError("Token is required.\nLog in first."))
    with pytest.raises(
        NotReady, match=r"tiny@1 could not be pushed to 'org/name': Token is required\. Log in first\.$"
    ):
        push_model(entry, "org/name", private=False, api=refusing)
    with pytest.raises(NotReady, match="tiny@1 could not be pushed"):  # nobody listens there
        push_model(entry, "org/name", private=False, api=HfApi(endpoint="http://127.0.0.1:1"))
    with pytest.raises(InvalidValue, match="not a hub id"):
        push_model(entry, "a/b/c", private=False, api=HfApi(endpoint="http://127.0.0.1:1"))
