import hashlib
import itertools
import json
import multiprocessing
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from app.errors import InsufficientStorage, InvalidModel, InvalidValue, ModelNotFound, NotReady
from app.store.archive import ModelArchive
from app.store.manifest import Manifest
from app.store.store import ModelStore
from app.types import ModalityName, Task

obstore = pytest.importorskip("obstore.store", reason="needs the extra s3")

from app.storage.bucket import Bucket  # noqa: E402
from app.store.bucket_index import BucketIndex  # noqa: E402
from app.store.bucket_storage import BucketStorage  # noqa: E402
from app.store.garbage import collect_garbage  # noqa: E402
from app.store.model_cache import ModelCache, WantedFile  # noqa: E402

MANIFEST = Manifest(modality=ModalityName.TEXT, architecture="bert", tasks=(Task.EMBED,), parameters=7)
NEVER = 1e6  # seconds between two looks of an index: the tests look themselves


@pytest.fixture
def bucket() -> Bucket:
    return Bucket(obstore.MemoryStore(), "s3://models", "CLOZE_MODEL_STORE")


@pytest.fixture
def machine(bucket: Bucket, tmp_path: Path) -> Callable[..., ModelStore]:
    """Opens the store as another machine would, with a cache of its own."""
    numbers = itertools.count()

    def open_machine(max_bytes: int = 10_000, keep: bool = False) -> ModelStore:
        cache = ModelCache(tmp_path / f"cache-{next(numbers)}", max_bytes, keep=keep)
        return ModelStore(BucketStorage(bucket, cache, index=BucketIndex(bucket, interval=NEVER)))

    return open_machine


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "trained"
    (folder / "1_Pooling").mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"w" * 1000)
    (folder / "1_Pooling" / "config.json").write_text("[]")
    (folder / ".hidden").write_text("")
    return folder


def publish(store: ModelStore, folder: Path, name: str = "m", job_id: str | None = None) -> Any:
    return store.publish(folder, MANIFEST.model_copy(update={"job_id": job_id}), name=name)


def keys(bucket: Bucket, prefix: str) -> list[str]:
    return sorted(each.key for each in bucket.list(prefix))


def test_a_version_is_read_on_another_machine(machine: Callable[..., ModelStore], folder: Path) -> None:
    entry = publish(machine(), folder, "org/name")
    read = machine().resolve("org/name")
    assert read == entry and read.id == "org/name@1"
    files = {path.relative_to(read.path).as_posix(): path.read_bytes() for path in read.path.rglob("[!.]*.*")}
    assert {*files} == {"config.json", "model.safetensors", "1_Pooling/config.json", "manifest.json"}
    assert files["model.safetensors"] == b"w" * 1000
    assert json.loads(files["manifest.json"])["version"] == 1
    assert b"".join(ModelArchive(read).read()) == b"".join(ModelArchive(entry).read())


def test_equal_content_is_kept_once(machine: Callable[..., ModelStore], bucket: Bucket, folder: Path) -> None:
    store = machine()
    base = publish(store, folder)
    (folder / "model.safetensors").unlink()
    (folder / "head.safetensors").write_bytes(b"head")
    head = store.publish(folder, MANIFEST, name="head", base=base)
    assert head.manifest.files["model.safetensors"] == base.manifest.files["model.safetensors"]
    assert len(keys(bucket, "content")) == 4
    store.delete("m")
    collect_garbage(bucket, grace=-1)
    assert (machine().resolve("head").path / "model.safetensors").read_bytes() == b"w" * 1000
    with pytest.raises(ModelNotFound, match="m@1"):
        store.publish(folder, MANIFEST, name="head", base=base)


def test_two_publishers_do_not_get_the_same_version(machine: Callable[..., ModelStore], folder: Path) -> None:
    # Both have chosen the number 1 when the first of them creates its manifest.
    together = threading.Barrier(4)
    first = threading.local()

    def wait() -> None:
        if not hasattr(first, "passed"):
            first.passed = True
            together.wait(10)

    with ThreadPoolExecutor(4) as threads:
        found = [threads.submit(machine().publish, folder, MANIFEST, name="m", fence=wait) for _ in range(4)]
        entries = [each.result(10) for each in found]
    assert sorted(entry.version for entry in entries) == [1, 2, 3, 4]
    assert machine().versions("m") == sorted(entries, key=lambda entry: -entry.version)


def test_attempts_of_one_job_publish_once(machine: Callable[..., ModelStore], folder: Path) -> None:
    together = threading.Barrier(3)
    made = MANIFEST.model_copy(update={"job_id": "job-1"})
    with ThreadPoolExecutor(3) as threads:
        found = [
            threads.submit(machine().publish, folder, made, name="m", fence=lambda: together.wait(10) and None)
            for _ in range(3)
        ]
        assert {each.result(10).id for each in found} == {"m@1"}
    store = machine()
    assert publish(store, folder, job_id="job-1").id == "m@1"
    store.delete("m@1")
    assert publish(store, folder, job_id="job-1").id == "m@2"
    assert [entry.id for entry in machine().list()] == ["m@2"]


def test_an_interrupted_publication_is_invisible_and_collected_after_the_grace_time(
    machine: Callable[..., ModelStore], bucket: Bucket, folder: Path
) -> None:
    def fence() -> None:
        raise RuntimeError("lease lost")

    store = machine()
    with pytest.raises(RuntimeError, match="lease lost"):
        store.publish(folder, MANIFEST, name="m", fence=fence)
    assert len(keys(bucket, "content")) == 3 and machine().list() == []
    assert collect_garbage(bucket) == (0, 0)
    assert collect_garbage(bucket, grace=-1) == (3, 1004)
    assert keys(bucket, "content") == []
    assert publish(store, folder).id == "m@1"
    assert collect_garbage(bucket, grace=-1) == (0, 0)


def test_a_deleted_version_is_gone_everywhere_and_its_number_is_not_used_again(
    machine: Callable[..., ModelStore], folder: Path
) -> None:
    store = machine()
    for _ in range(2):
        publish(store, folder)
    store.set_alias("m", "prod", 2)
    with pytest.raises(InvalidValue, match="m@2"):
        store.delete("m:prod")
    assert [entry.id for entry in store.delete("m@2")] == ["m@2"]
    other = machine()
    assert other.aliases("m") == {} and [entry.id for entry in other.list()] == ["m@1"]
    with pytest.raises(ModelNotFound, match="m has @1"):
        other.resolve("m@2")
    assert publish(other, folder).id == "m@3"
    assert {entry.id for entry in other.delete("m")} == {"m@1", "m@3"}
    assert other.list() == []


def test_aliases_of_two_machines_are_both_kept(machine: Callable[..., ModelStore], folder: Path) -> None:
    one, two = machine(), machine()
    publish(one, folder)
    together = threading.Barrier(2)

    def name(store: ModelStore, alias: str) -> None:
        store.resolve("m@1") if store is one else None
        together.wait(10)
        store.set_alias("m", alias, 1)

    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(name, (one, two), ("prod", "canary"))) == [None, None]
    assert machine().aliases("m") == {"canary": 1, "prod": 1}
    assert machine().resolve("m:prod").id == "m@1"
    two.remove_alias("m", "prod")
    assert machine().aliases("m") == {"canary": 1}


def test_a_change_is_seen_at_the_next_look(bucket: Bucket, machine: Callable[..., ModelStore], folder: Path) -> None:
    index = BucketIndex(bucket, interval=NEVER)
    assert index.numbers == {} and not index.look()
    publish(machine(), folder)
    assert index.look() and index.numbers == {"m": [1]}
    assert not index.look()


def test_what_is_no_version_is_left_out(bucket: Bucket, machine: Callable[..., ModelStore], folder: Path) -> None:
    publish(machine(), folder)
    for key in ("models/m/2/manifest.json", "models/m/x/manifest.json", "models/.x/7/manifest.json", "models/a"):
        bucket.write(key, b"{")
    bucket.write("models/m/aliases.json", b"[1]")
    store = machine()
    assert [entry.id for entry in store.list()] == ["m@1"] and store.aliases("m") == {}
    assert publish(store, folder).id == "m@3"


def cached_file(store: ModelStore, model: str = "m") -> Path:
    return store.resolve(model).path / "model.safetensors"


def test_a_damaged_local_copy_is_fetched_again(machine: Callable[..., ModelStore], folder: Path) -> None:
    publish(machine(), folder)
    store = machine()
    file = cached_file(store)
    file.write_bytes(b"v" * 1000)
    assert cached_file(store).read_bytes() == b"w" * 1000
    file.unlink()
    assert cached_file(store).read_bytes() == b"w" * 1000


def test_damaged_content_of_the_bucket_is_refused(
    machine: Callable[..., ModelStore], bucket: Bucket, folder: Path
) -> None:
    entry = publish(machine(), folder)
    bucket.write(f"content/{entry.manifest.files['model.safetensors']}", b"v" * 1000)
    store = machine()
    with pytest.raises(InvalidModel, match=r"model\.safetensors of m@1"):
        cached_file(store)
    bucket.delete([f"content/{entry.manifest.files['model.safetensors']}"])
    with pytest.raises(NotReady, match="s3://models lacks"):
        cached_file(store)


def test_a_full_cache_evicts_what_is_not_used(machine: Callable[..., ModelStore], folder: Path) -> None:
    for name in ("a", "b", "c"):
        publish(machine(), folder, name)
    store = machine(max_bytes=4500)
    a, b = store.resolve("a"), store.resolve("b")
    in_use, not_used = a.path, b.path
    del b
    cached_file(store, "c")
    assert in_use.is_dir() and not not_used.exists()
    c = store.resolve("c")
    assert c.path.is_dir()
    with pytest.raises(InsufficientStorage, match="CLOZE_MODEL_CACHE_BYTES"):
        cached_file(store, "b")
    del a
    assert cached_file(store, "b").is_file() and not in_use.exists()


def test_a_job_keeps_what_it_has_opened(machine: Callable[..., ModelStore], folder: Path) -> None:
    for name in ("a", "b"):
        publish(machine(), folder, name)
    store = machine(max_bytes=2500, keep=True)
    file = cached_file(store, "a")
    with pytest.raises(InsufficientStorage):
        cached_file(store, "b")
    assert file.is_file()


def _hold(folder: Path, key: str, held: Any, end: Any) -> None:
    opened = ModelCache(folder, 10_000).open(key, {})
    held.set()
    end.wait(10)
    del opened


def test_what_another_process_uses_is_not_evicted(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    held, end = context.Event(), context.Event()
    process = context.Process(target=_hold, args=(tmp_path, "a", held, end))
    process.start()
    assert held.wait(10)
    (tmp_path / "a" / "file").write_bytes(b"x" * 900)
    content = b"y" * 500
    wanted = {"f": WantedFile(hashlib.sha256(content).hexdigest(), lambda: (len(content), iter([content])))}
    cache = ModelCache(tmp_path, 1000)
    with pytest.raises(InsufficientStorage):
        cache.open("b", wanted)
    end.set()
    process.join()
    assert (cache.open("b", wanted).path / "f").read_bytes() == content
    assert not (tmp_path / "a").exists()
