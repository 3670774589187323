"""Archives of models: what is written to disk, and what is not."""

import errno
import io
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath

import pytest
import zstandard

from app.datasets.unpacking import unpack_archive
from app.errors import InsufficientStorage, InvalidData, TooLarge

FILES = {"m/config.json": b"{}", "m/model.safetensors": bytes(100_000), "m/notes.bin": b"left out"}
Pack = Callable[[Mapping[str, bytes]], bytes]


def tar(files: Mapping[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def tar_gz(files: Mapping[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive, tarfile.open(fileobj=io.BytesIO(tar(files))) as plain:
        for member in plain:
            archive.addfile(member, plain.extractfile(member))
    return stream.getvalue()


def tar_zst(files: Mapping[str, bytes]) -> bytes:
    return zstandard.compress(tar(files))


def zipped(files: Mapping[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


def unpack(tmp_path: Path, content: bytes, *, max_bytes: int = 1_000_000) -> dict[str, bytes]:
    """The files that were written, by name. None may be outside the target."""
    (tmp_path / "archive").write_bytes(content)
    target = tmp_path / "target"
    target.mkdir()
    progress: list[int] = []
    written = unpack_archive(
        tmp_path / "archive",
        "archive",
        target,
        is_wanted=lambda name: name.suffix in (".json", ".safetensors"),
        max_files=3,
        max_bytes=max_bytes,
        on_bytes=progress.append,
    )
    assert progress == sorted(progress)
    found = {str(p.relative_to(target)): p.read_bytes() for p in target.rglob("*") if p.is_file()}
    assert set(map(PurePosixPath, found)) == set(written)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["archive", "target"]
    return found


@pytest.mark.parametrize("pack", [tar, tar_gz, tar_zst, zipped])
def test_wanted_files_are_written_with_their_folders(tmp_path: Path, pack: Pack) -> None:
    found = unpack(tmp_path, pack(FILES))
    assert found == {name: content for name, content in FILES.items() if "notes" not in name}


@pytest.mark.parametrize("pack", [tar, zipped])
@pytest.mark.parametrize(
    "name", ["../up.json", "/tmp/up.json", "m/../../up.json", ".hidden/a.json", "m\\..\\..\\up.json"]
)
def test_unsafe_and_hidden_paths_are_left_out(tmp_path: Path, pack: Pack, name: str) -> None:
    assert unpack(tmp_path, pack({name: b"{}", "config.json": b"{}"})) == {"config.json": b"{}"}


def test_links_are_left_out(tmp_path: Path) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE):
            link = tarfile.TarInfo(f"{kind.decode()}.json")
            link.type, link.linkname = kind, "/etc/passwd"
            archive.addfile(link)
    assert unpack(tmp_path, stream.getvalue()) == {}


@pytest.mark.parametrize("pack", [tar_gz, tar_zst, zipped])
def test_more_bytes_than_allowed_are_refused(tmp_path: Path, pack: Pack) -> None:
    """Also those of members that nobody wants: unpacking them takes time."""
    with pytest.raises(TooLarge, match="99,999 bytes"):
        unpack(tmp_path, pack({"junk.bin": bytes(100_000)}), max_bytes=99_999)


@pytest.mark.parametrize("content", [b"", b"no archive", tar_gz(FILES)[:200], zipped(FILES)[:-30], tar(FILES)[:5000]])
def test_what_is_no_archive_or_broken_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(InvalidData):
        unpack(tmp_path, content)


def test_more_files_than_allowed_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TooLarge, match="more than 3 files"):
        unpack(tmp_path, tar({f"{nth}.json": b"{}" for nth in range(4)}))


@pytest.mark.parametrize("name", ["n" * 300 + ".json", "config.json/a.json"])
def test_a_file_that_the_disk_cannot_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidData, match="cannot be unpacked"):
        unpack(tmp_path, tar({"config.json": b"{}", name: b"{}"}))


def test_a_full_disk_is_not_called_a_broken_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "mkdir", refuse)
    (tmp_path / "archive").write_bytes(tar(FILES))
    with pytest.raises(InsufficientStorage):
        unpack_archive(
            tmp_path / "archive",
            "archive",
            tmp_path / "target",
            is_wanted=lambda _: True,
            max_files=3,
            max_bytes=10**6,
            on_bytes=lambda _: None,
        )
