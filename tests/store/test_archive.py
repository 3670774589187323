"""Archives: a tar that any tar reads, with the same bytes each time, of which each range can be made alone."""

import hashlib
import io
import json
import os
import random
import tarfile
from pathlib import Path

import pytest

from app.errors import ModelNotFound
from app.store.archive import PIECE, ModelArchive
from app.store.manifest import Manifest
from app.store.store import ModelEntry, ModelStore
from app.store.version_files import list_files
from app.types import ModalityName, Task

LONG = "-".join(["long"] * 30) + ".txt"  # too long for the oldest format of tars


@pytest.fixture
def entry(tmp_path: Path) -> ModelEntry:
    source = tmp_path / "source"
    (source / "1_Pooling").mkdir(parents=True)
    contents = {
        "model.safetensors": random.Random(0).randbytes(3 * PIECE + 7),
        "config.json": b"{}",
        "1_Pooling/config.json": b"x" * tarfile.BLOCKSIZE,
        "empty": b"",
        LONG: b"name",
    }
    for name, content in contents.items():
        (source / name).write_bytes(content)
    manifest = Manifest(modality=ModalityName.TEXT, architecture="bert", tasks=(Task.EMBED,), parameters=1)
    return ModelStore(tmp_path / "store").publish(source, manifest, name="org/tiny")


def read(archive: ModelArchive, start: int = 0, end: int | None = None) -> bytes:
    pieces = list(archive.read(start, end))
    assert all(0 < len(piece) <= PIECE for piece in pieces)
    return b"".join(pieces)


def test_the_files_come_back_with_their_manifest(entry: ModelEntry) -> None:
    archive = ModelArchive(entry)
    content = read(archive)
    assert (archive.filename, archive.size) == ("org-tiny-1.tar", len(content))
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as tar:
        members = tar.getmembers()
        files = {member.name: tar.extractfile(member).read() for member in members}  # type: ignore[union-attr]
    assert list(files) == sorted(files)
    assert files == {name: file.path.read_bytes() for name, file in list_files(entry).files.items()}
    assert {(m.uid, m.gid, m.uname, m.gname, m.mtime, m.mode) for m in members} == {(0, 0, "", "", 0, 0o644)}
    digests = json.loads(files.pop("manifest.json"))["files"]
    assert digests == {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}


def test_the_bytes_depend_on_the_content_only(entry: ModelEntry) -> None:
    before = ModelArchive(entry)
    content = read(before)
    for path in entry.path.rglob("*"):
        os.utime(path, (1, 1))
    (entry.path / ".hidden").write_text("x")
    after = ModelArchive(entry)
    assert (read(after), after.digest) == (content, before.digest)


def test_every_range_is_a_part_of_the_whole(entry: ModelEntry) -> None:
    archive = ModelArchive(entry)
    whole, chosen = read(archive), random.Random(1)
    assert read(archive, 5, 5) == b""
    for _ in range(200):
        start = chosen.randrange(archive.size)
        end = chosen.randrange(start, archive.size) + 1
        assert read(archive, start, end) == whole[start:end]


def test_a_file_that_is_shorter_than_it_was_is_an_error(entry: ModelEntry) -> None:
    archive = ModelArchive(entry)
    os.truncate(entry.path / "model.safetensors", 10)
    with pytest.raises(OSError, match="shorter"):
        read(archive)


def test_a_version_that_is_deleted_meanwhile_is_not_found(entry: ModelEntry, tmp_path: Path) -> None:
    ModelStore(tmp_path / "store").delete(entry.id)
    with pytest.raises(ModelNotFound, match="deleted"):
        ModelArchive(entry)


def test_the_digest_follows_from_the_files(entry: ModelEntry, tmp_path: Path) -> None:
    files = list_files(entry)
    assert files.files["config.json"].sha256 == hashlib.sha256(b"{}").hexdigest()
    assert (len(files.digest), files.digest[:40]) == (64, files.commit)
    manifest = entry.path / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"parameters": 1', '"parameters": 2'))
    assert list_files(entry).digest != files.digest
