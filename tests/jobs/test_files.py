import asyncio
import errno
import hashlib
import os
import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import IO, Any, NamedTuple

import pytest

from app.errors import Conflict, EmptyInput, FileNotFound, InsufficientStorage, InvalidData, TooLarge
from app.jobs.connection import Client
from app.jobs.files import FileStore
from app.jobs.jobs import Jobs
from app.jobs.shared_files import SharedFiles
from app.jobs.spec import StoredFile
from app.storage.bucket import Bucket, open_bucket
from app.system.disk_space import DiskReserve
from tests.fakes.jobs import make_spec


@pytest.fixture
def files(redis: Client, tmp_path: Path) -> FileStore:
    return FileStore(redis, tmp_path)


def put(files: FileStore, name: str = "a.txt", *chunks: bytes, max_bytes: int = 100) -> StoredFile:
    return asyncio.run(files.create(name, "fine-tune", chunks or (b"hello ", b"world"), max_bytes))


def test_a_file_is_kept_with_its_digest(files: FileStore) -> None:
    stored = put(files)
    assert (stored.filename, stored.bytes, stored.purpose) == ("a.txt", 11, "fine-tune")
    assert stored.sha256 == hashlib.sha256(b"hello world").hexdigest()
    assert files.get(stored.id) == stored
    assert files.path(stored.id).read_bytes() == b"hello world"


def test_an_async_stream_is_taken(files: FileStore) -> None:
    async def stream() -> AsyncIterator[bytes]:
        for chunk in (b"a", b"b"):
            yield chunk

    stored = asyncio.run(files.create("a.txt", "fine-tune", stream(), 2))
    assert files.path(stored.id).read_bytes() == b"ab"


def test_what_is_refused_leaves_nothing(files: FileStore, tmp_path: Path) -> None:
    with pytest.raises(TooLarge):
        put(files, "a.txt", b"123", b"456", max_bytes=5)
    with pytest.raises(EmptyInput):
        put(files, "a.txt", b"")
    assert list(tmp_path.iterdir()) == []
    assert files.list() == ([], False)


def test_an_upload_ends_where_the_reserve_begins(redis: Client, tmp_path: Path) -> None:
    class Usage(NamedTuple):
        total: int
        free: int

    def usage(folder: Path) -> Usage:
        return Usage(100, 100 - sum(content.stat().st_size for content in folder.glob("*/content")))

    root = tmp_path / "files"
    files = FileStore(redis, root, DiskReserve(root, 50, usage=usage))
    files.check_room(50)
    with pytest.raises(InsufficientStorage):
        files.check_room(51)
    put(files, "a.txt", b"x" * 30)
    with pytest.raises(InsufficientStorage):
        put(files, "b.txt", b"x" * 15, b"x" * 15)
    assert len(list(root.iterdir())) == 1
    put(files, "c.txt", b"x" * 20)
    with pytest.raises(InsufficientStorage):
        put(files, "d.txt", b"x")


@pytest.mark.parametrize("step", ["open", "write", "fsync"])
def test_an_upload_to_a_full_disk_leaves_nothing(
    files: FileStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    with monkeypatch.context() as patch:
        if step == "open":
            patch.setattr(Path, "open", full)
        elif step == "fsync":
            patch.setattr(os, "fsync", full)
        else:
            opened = Path.open
            patch.setattr(Path, "open", lambda *given, **options: FullFile(opened(*given, **options)))
        with pytest.raises(OSError, match="full"):
            put(files)
    assert list(tmp_path.iterdir()) == []
    assert files.list() == ([], False)


class FullFile:
    """A file that neither takes anything nor closes without an error, as a buffered one on a full disk."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def write(self, content: bytes) -> int:
        raise OSError(errno.ENOSPC, "full")

    def close(self) -> None:
        self._file.close()
        raise OSError(errno.ENOSPC, "full")


def test_a_file_that_redis_does_not_take_leaves_nothing(
    files: FileStore, redis: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = redis.pipeline

    def failing(*, lost: str) -> Any:
        pipe = pipeline()

        def execute() -> None:
            if lost == "answer":
                type(pipe).execute(pipe)
            raise ConnectionError(lost)

        monkeypatch.setattr(pipe, "execute", execute)
        return pipe

    for lost, left in (("request", 0), ("answer", 1)):
        monkeypatch.setattr(redis, "pipeline", partial(failing, lost=lost))
        with pytest.raises(ConnectionError, match=lost):
            put(files, "a.txt", b"abc")
        monkeypatch.setattr(redis, "pipeline", pipeline)
        known, _ = files.list()
        assert len(list(tmp_path.iterdir())) == len(known) == left
    assert files.path(known[0].id).read_bytes() == b"abc"


@pytest.mark.parametrize(
    ("sent", "kept"),
    [("../../etc/passwd", "passwd"), ("c:\\data\\a.txt", "a.txt"), ("a\x00b\n.txt", "ab.txt"), ("dir/", "upload")],
)
def test_a_file_name_is_only_a_name(files: FileStore, sent: str, kept: str) -> None:
    assert put(files, sent).filename == kept


def test_list_pages_newest_first(files: FileStore) -> None:
    made = [put(files, f"{n}.txt") for n in range(3)]
    page, more = files.list(limit=2)
    assert (page, more) == ([made[2], made[1]], True)
    assert files.list(after=made[1].id) == ([made[0]], False)
    assert files.list(purpose="other") == ([], False)
    assert files.list(limit=1, order="asc") == ([made[0]], True)
    assert files.list(after=made[0].id, order="asc")[0] == made[1:]
    with pytest.raises(FileNotFound):
        files.list(after="file-0")


def test_delete(files: FileStore, tmp_path: Path) -> None:
    stored = put(files)
    files.delete(stored.id)
    assert list(tmp_path.iterdir()) == []
    for call in (files.get, files.path, files.delete):
        with pytest.raises(FileNotFound):
            call(stored.id)


def test_a_file_in_use_is_not_deleted(files: FileStore, redis: Client) -> None:
    stored, validation = put(files), put(files)
    jobs = Jobs(redis)
    job = jobs.create(make_spec(redis, training_files=(stored.id,), validation_file=validation.id))
    for file in (stored, validation):
        with pytest.raises(Conflict, match=job.id):
            files.delete(file.id)
    jobs.cancel(job.id)
    files.delete(stored.id)
    files.delete(validation.id)


def test_content_that_vanished_is_said_to_be_missing(files: FileStore) -> None:
    stored = put(files)
    files.path(stored.id).unlink()
    with pytest.raises(FileNotFound, match="missing on this machine"):
        files.path(stored.id)


def test_uploads_whose_server_was_killed_go(files: FileStore, tmp_path: Path) -> None:
    for name, age in (("dead", 7200), ("alive", 60)):
        folder = tmp_path / f".tmp-file-{name}"
        folder.mkdir()
        (folder / "content").write_bytes(b"half")
        os.utime(folder, (0, 0))
        os.utime(folder / "content", (time.time() - age,) * 2)
    stored = put(files)
    files.drop_unfinished(3600)
    assert sorted(p.name for p in tmp_path.iterdir()) == [".tmp-file-alive", stored.id]


def test_equal_content_is_stored_once_and_each_file_is_deleted_on_its_own(files: FileStore) -> None:
    first, other, second = put(files), put(files, "c.txt", b"other"), put(files, "b.txt")
    assert first.id != second.id and first.sha256 == second.sha256
    assert files.path(first.id).samefile(files.path(second.id))
    assert not files.path(first.id).samefile(files.path(other.id))
    files.delete(first.id)
    assert files.path(second.id).read_bytes() == b"hello world"


def test_damaged_content_is_not_shared(files: FileStore) -> None:
    first = put(files)
    files.path(first.id).write_bytes(b"hello w0rld")
    second = put(files)
    assert files.path(second.id).read_bytes() == b"hello world"


def open_machine(redis: Client, folder: Path, bucket: Bucket) -> FileStore:
    return FileStore(redis, folder, shared=SharedFiles(bucket))


@pytest.fixture
def bucket(tmp_path: Path) -> Bucket:
    pytest.importorskip("obstore", reason="needs the extra s3")
    return open_bucket(f"file://{tmp_path}/bucket", "CLOZE_STORAGE")


def test_a_file_in_a_bucket_is_read_on_another_machine(redis: Client, tmp_path: Path, bucket: Bucket) -> None:
    one, two = (open_machine(redis, tmp_path / name, bucket) for name in ("one", "two"))
    stored = put(one)
    assert two.path(stored.id) == tmp_path / "two" / stored.id / "content"
    assert two.path(stored.id).read_bytes() == b"hello world"
    two.delete(stored.id)
    assert list(bucket.list("")) == []
    with pytest.raises(FileNotFound):
        one.path(stored.id)


def test_a_copy_that_is_damaged_or_missing_in_the_bucket_is_not_used(
    redis: Client, tmp_path: Path, bucket: Bucket
) -> None:
    stored = put(open_machine(redis, tmp_path / "one", bucket))
    two = open_machine(redis, tmp_path / "two", bucket)
    bucket.write(f"files/{stored.id}", b"hello w0rld")
    with pytest.raises(InvalidData, match="damaged"):
        two.path(stored.id)
    bucket.delete([f"files/{stored.id}"])
    with pytest.raises(FileNotFound, match="missing"):
        two.path(stored.id)
    assert list((tmp_path / "two").iterdir()) == []


def test_what_has_no_record_is_dropped_from_the_bucket(redis: Client, tmp_path: Path, bucket: Bucket) -> None:
    files = open_machine(redis, tmp_path / "one", bucket)
    stored = put(files)
    bucket.write(f"files/file-{'0' * 24}", b"of a killed server")
    bucket.write("files/mine.txt", b"not of Cloze")
    files.drop_unfinished(60)
    assert len(list(bucket.list("files"))) == 3
    files.drop_unfinished(-60)
    assert {each.key for each in bucket.list("files")} == {f"files/{stored.id}", "files/mine.txt"}


def test_a_refused_upload_leaves_nothing_in_the_bucket(redis: Client, tmp_path: Path, bucket: Bucket) -> None:
    with pytest.raises(EmptyInput):
        put(open_machine(redis, tmp_path / "one", bucket), "a.txt", b"")
    assert list(bucket.list("")) == []
