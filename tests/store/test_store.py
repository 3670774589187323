import errno
import hashlib
import json
import multiprocessing
import os
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

from app.errors import Forbidden, InsufficientStorage, InvalidModel, InvalidValue, ModelNotFound
from app.store.manifest import Manifest
from app.store.store import ModelEntry, ModelStore
from app.types import ModalityName, Task

MANIFEST = Manifest(modality=ModalityName.TEXT, architecture="bert", tasks=(Task.EMBED,), parameters=7)


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "store")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "trained"
    (folder / "1_Pooling").mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"weights")
    (folder / "1_Pooling" / "config.json").write_text("[]")
    (folder / ".cache").mkdir()
    (folder / ".cache" / "lock").write_text("")
    return folder


def publish(store: ModelStore, folder: Path, name: str = "m", job_id: str | None = None) -> ModelEntry:
    return store.publish(folder, MANIFEST.model_copy(update={"job_id": job_id}), name=name)


def ids(store: ModelStore) -> list[str]:
    return [entry.id for entry in store.list()]


def test_publish_writes_the_files_and_a_complete_manifest(store: ModelStore, folder: Path) -> None:
    entry = publish(store, folder, "org/name")
    assert entry.id == "org/name@1"
    assert entry.path == store.root / "org" / "name" / "1"
    assert (entry.path / "1_Pooling" / "config.json").read_text() == "[]"
    assert set(entry.manifest.files) == {"config.json", "model.safetensors", "1_Pooling/config.json"}
    assert entry.manifest.files["model.safetensors"] == hashlib.sha256(b"weights").hexdigest()
    stored = json.loads((entry.path / "manifest.json").read_text())
    assert (stored["name"], stored["version"]) == ("org/name", 1)
    assert stored["created"] > 0
    assert store.resolve("org/name") == entry
    assert not list(store.root.glob(".tmp-*"))


def test_a_version_shares_the_files_of_its_base(store: ModelStore, folder: Path, tmp_path: Path) -> None:
    base, head = publish(store, folder), tmp_path / "head"
    head.mkdir()
    (head / "head.safetensors").write_bytes(b"head")
    (head / "config.json").write_text("{1}")
    entry = store.publish(head, MANIFEST, name="classifier", base=base)

    weights = "model.safetensors"
    assert (entry.path / weights).stat().st_ino == (base.path / weights).stat().st_ino
    assert set(entry.manifest.files) == {"config.json", weights, "1_Pooling/config.json", "head.safetensors"}
    assert entry.manifest.files[weights] == base.manifest.files[weights]
    assert (entry.path / "config.json").read_text() == "{1}" and (base.path / "config.json").read_text() == "{}"
    store.delete("m")
    assert (entry.path / weights).read_bytes() == b"weights"
    assert store.resolve("classifier") == entry


def test_what_cannot_be_linked_is_copied(
    store: ModelStore, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, head = publish(store, folder), tmp_path / "head"
    head.mkdir()
    (head / "head.safetensors").write_bytes(b"head")

    def refuse(*_: object) -> None:
        raise OSError(errno.EMLINK, "too many links")

    monkeypatch.setattr(os, "link", refuse)
    entry = store.publish(head, MANIFEST, name="classifier", base=base)
    assert entry.manifest.files == base.manifest.files | {"head.safetensors": hashlib.sha256(b"head").hexdigest()}


def test_a_base_that_is_gone_is_missing(store: ModelStore, folder: Path) -> None:
    base = publish(store, folder)
    store.delete("m")
    with pytest.raises(ModelNotFound, match="m@1"):
        store.publish(folder, MANIFEST, name="classifier", base=base)
    assert store.list() == []


def test_versions_count_up_and_the_latest_comes_first(store: ModelStore, folder: Path) -> None:
    for name in ["b", "a", "b", "a/nested"]:
        publish(store, folder, name)
    for _ in range(9):
        publish(store, folder, "b")
    assert ids(store) == ["a@1", "a/nested@1", *[f"b@{v}" for v in range(11, 0, -1)]]
    assert store.resolve("b").version == 11
    assert store.resolve("b:latest").version == 11
    assert store.resolve("b@2").version == 2


def test_no_model_takes_the_place_of_another_s_aliases(store: ModelStore, folder: Path) -> None:
    publish(store, folder)
    with pytest.raises(InvalidValue, match=r"aliases\.json"):
        publish(store, folder, "m/aliases.json")
    store.set_alias("m", "prod", 1)
    assert ids(store) == ["m@1"]


def test_a_store_in_which_one_has_taken_it_is_read_all_the_same(store: ModelStore, folder: Path) -> None:
    entry = publish(store, folder)
    (entry.path.parent / "aliases.json").mkdir()
    entry.path.rename(entry.path.parent / "aliases.json" / "1")
    publish(store, folder)

    assert ids(store) == ["m@1", "m/aliases.json@1"]
    assert store.aliases("m") == {}
    store.delete("m/aliases.json@1")


def test_a_job_publishes_once(store: ModelStore, folder: Path) -> None:
    first = publish(store, folder, job_id="job-1")
    assert publish(store, folder, job_id="job-1") == first
    assert publish(store, folder, job_id="job-2").version == 2


def test_another_process_s_publication_is_seen_at_once(store: ModelStore, folder: Path) -> None:
    reader = ModelStore(store.root)
    publish(store, folder)
    assert reader.resolve("m").version == 1
    publish(store, folder)
    assert reader.resolve("m").version == 2
    store.delete("m@2")
    assert reader.resolve("m").version == 1
    assert ids(reader) == ["m@1"]


def _publish_five(root: Path, folder: Path) -> None:
    for _ in range(5):
        publish(ModelStore(root), folder)


def test_concurrent_publishers_never_share_a_version(store: ModelStore, folder: Path) -> None:
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_publish_five, args=(store.root, folder)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert [entry.version for entry in store.versions("m")] == list(range(15, 0, -1))


def test_the_same_job_from_many_threads_publishes_once(store: ModelStore, folder: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        entries = list(threads.map(lambda n: publish(store, folder, job_id=f"job-{n % 4}"), range(64)))
    assert {entry.id for entry in entries} == {f"m@{version}" for version in range(1, 5)}
    assert [entry.version for entry in store.versions("m")] == [4, 3, 2, 1]
    assert not list(store.root.glob(".tmp-*"))


def test_a_raising_fence_leaves_nothing(store: ModelStore, folder: Path) -> None:
    def fence() -> None:
        assert ids(store) == []
        raise RuntimeError("lease lost")

    with pytest.raises(RuntimeError, match="lease lost"):
        store.publish(folder, MANIFEST, name="m", fence=fence)
    assert ids(store) == []
    assert not list(store.root.glob(".tmp-*"))
    assert publish(store, folder).version == 1


def test_of_two_owners_that_want_a_new_name_the_first_gets_it(store: ModelStore, folder: Path) -> None:
    def publish_as(owner: str | None, since: float) -> ModelEntry:
        return store.publish(folder, MANIFEST.model_copy(update={"owner": owner}), name="m", since=since)

    before = time.time()
    publish_as("key-a", before)
    with pytest.raises(Forbidden, match="another API key has published"):
        publish_as("key-b", before)
    publish_as("key-a", before)
    publish_as(None, before)  # an operator
    publish_as("key-b", time.time() + 60)  # an admin's, whose right was checked when the name was there

    assert len(store.versions("m")) == 4


def test_a_killed_publisher_leaves_nothing_visible_and_is_swept(store: ModelStore, folder: Path) -> None:
    def die() -> None:
        os._exit(9)

    process = multiprocessing.get_context("fork").Process(
        target=lambda: store.publish(folder, MANIFEST, name="m", fence=die)
    )
    process.start()
    process.join()
    assert process.exitcode == 9
    assert ids(store) == []
    assert len(list(store.root.glob(".tmp-*"))) == 1
    assert publish(store, folder).version == 1
    assert not list(store.root.glob(".tmp-*"))


def test_a_publication_under_way_is_not_swept(store: ModelStore, folder: Path) -> None:
    reached, go_on = threading.Event(), threading.Event()

    def wait() -> None:
        reached.set()
        # The lock is held here, so the other publisher only gets past it when this one is done.
        assert go_on.wait(10)

    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(store.publish, folder, MANIFEST, name="m", fence=wait)
        assert reached.wait(10)
        second = threads.submit(publish, ModelStore(store.root), folder)
        go_on.set()
        assert {first.result(10).version, second.result(10).version} == {1, 2}


def test_a_folder_without_files_is_refused(store: ModelStore, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidModel, match="no files"):
        publish(store, tmp_path / "empty")


def test_incomplete_and_broken_folders_are_left_out(store: ModelStore, folder: Path) -> None:
    publish(store, folder)
    (store.root / "m" / "2").mkdir()
    (store.root / "m" / "2" / "config.json").write_text("{}")
    (store.root / "m" / "3").mkdir()
    (store.root / "m" / "3" / "manifest.json").write_text("{")
    (store.root / "m" / "03").mkdir()
    (store.root / "stray.txt").write_text("")
    assert ids(store) == ["m@1"]
    assert store.resolve("m").version == 1
    with pytest.raises(ModelNotFound, match="m has @1"):
        store.resolve("m@2")
    assert publish(store, folder).version == 4


def test_a_repaired_manifest_is_read_again(store: ModelStore, folder: Path) -> None:
    entry = publish(store, folder)
    text = (entry.path / "manifest.json").read_text()
    (entry.path / "manifest.json").write_text("{")
    assert store.list() == []
    (entry.path / "manifest.json").write_text(text.replace('"parameters": 7', '"parameters": 8'))
    assert store.resolve("m").manifest.parameters == 8


def test_the_place_of_a_copied_folder_decides_its_name(store: ModelStore, folder: Path) -> None:
    entry = publish(store, folder)
    (store.root / "copy").mkdir()
    entry.path.rename(store.root / "copy" / "5")
    copied = store.resolve("copy")
    assert (copied.id, copied.manifest.name, copied.manifest.version) == ("copy@5", "copy", 5)


def test_aliases_point_at_versions(store: ModelStore, folder: Path) -> None:
    publish(store, folder)
    publish(store, folder)
    store.set_alias("m", "prod", 1)
    store.set_alias("m", "canary", 2)
    assert store.resolve("m:prod").version == 1
    store.set_alias("m", "prod", 2)
    assert store.aliases("m") == {"canary": 2, "prod": 2}
    store.remove_alias("m", "canary")
    assert store.aliases("m") == {"prod": 2}
    with pytest.raises(ModelNotFound, match=r"'m:canary' does not exist; m has @2, @1, :prod"):
        store.resolve("m:canary")
    with pytest.raises(ModelNotFound):
        store.remove_alias("m", "canary")
    with pytest.raises(ModelNotFound):
        store.set_alias("m", "prod", 9)
    with pytest.raises(InvalidValue, match="latest"):
        store.set_alias("m", "latest", 1)


def test_a_broken_alias_file_is_named(store: ModelStore, folder: Path) -> None:
    publish(store, folder)
    (store.root / "m" / "aliases.json").write_text("[1]")
    with pytest.raises(InvalidModel, match=r"m/aliases\.json"):
        store.resolve("m:prod")
    assert store.resolve("m").version == 1


def test_delete_a_version_takes_its_aliases_and_never_reuses_its_number(store: ModelStore, folder: Path) -> None:
    for _ in range(3):
        publish(store, folder)
    store.set_alias("m", "old", 1)
    store.set_alias("m", "new", 3)
    assert [entry.id for entry in store.delete("m@3")] == ["m@3"]
    assert store.aliases("m") == {"old": 1}
    assert not (store.root / "m" / "3").exists()
    assert publish(store, folder).version == 4


def test_delete_a_name_takes_every_version(store: ModelStore, folder: Path) -> None:
    publish(store, folder)
    publish(store, folder)
    publish(store, folder, "m/other")
    assert [entry.id for entry in store.delete("m")] == ["m@2", "m@1"]
    assert ids(store) == ["m/other@1"]
    assert publish(store, folder).version == 3


def test_delete_refuses_an_alias_and_the_unknown(store: ModelStore, folder: Path) -> None:
    publish(store, folder)
    store.set_alias("m", "prod", 1)
    with pytest.raises(InvalidValue, match="m@1"):
        store.delete("m:prod")
    with pytest.raises(ModelNotFound):
        store.delete("m@7")
    with pytest.raises(ModelNotFound):
        ModelStore(store.root / "nowhere").delete("m")


def test_unknown_models_are_answered_with_near_names(store: ModelStore, folder: Path) -> None:
    with pytest.raises(ModelNotFound, match="the store is empty"):
        store.resolve("cloze-text")
    publish(store, folder, "cloze-text")
    publish(store, folder, "all-MiniLM-L6-v2")
    with pytest.raises(ModelNotFound, match=r"near it: cloze-text$") as caught:
        store.resolve("cloze-txt")
    assert caught.value.param == "model"


@pytest.mark.parametrize(
    "model_id", ["", "..", "../m", "/etc", "m/../m", "m@", "m@x", "m@01", "m:", "m/", "m\0", "m@1:a"]
)
def test_malformed_ids_are_not_found(store: ModelStore, folder: Path, model_id: str) -> None:
    publish(store, folder)
    with pytest.raises(ModelNotFound):
        store.resolve(model_id)


def test_a_malformed_name_is_refused_before_anything_is_written(store: ModelStore, folder: Path) -> None:
    with pytest.raises(InvalidValue, match="not a model name"):
        publish(store, folder, "../outside")
    assert not store.root.exists()


def test_a_missing_store_is_empty(store: ModelStore) -> None:
    assert store.list() == []
    assert store.versions("m") == []
    assert store.aliases("m") == {}


def test_a_loop_of_links_ends(store: ModelStore, folder: Path) -> None:
    publish(store, folder)
    (store.root / "loop").symlink_to(store.root)
    assert "m@1" in ids(store)


def test_a_full_disk_leaves_nothing_of_a_publication(
    store: ModelStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    publish(store, folder)
    before = sorted(store.root.rglob("*"))
    for target, name in ((os, "fsync"), (Path, "rename")):
        with monkeypatch.context() as patch:
            patch.setattr(target, name, full)
            with pytest.raises(OSError, match="full"):
                publish(store, folder, "org/other")
        assert sorted(store.root.rglob("*")) == before
    assert publish(store, folder, "org/other").id == "org/other@1"


def test_what_the_disk_cannot_hold_is_not_begun(
    store: ModelStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Usage(NamedTuple):
        total: int = 2**40
        free: int = 2**20 + 5

    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage())
    with pytest.raises(InsufficientStorage):
        publish(store, folder)
    assert ids(store) == []
