import gzip
import io
import lzma
import os
import tarfile
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
import zstandard

from app.datasets.archives import Member, read_members
from app.datasets.reports import Reason, Report
from app.errors import AppError, InvalidData, TooLarge
from app.media.limits import Limits
from tests.fakes.media import fixture

FILES = {"b/2.jpg": fixture("photo.jpg"), "a/1.png": fixture("photo.png"), "c.txt": b"a text"}


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        archive.mkdir("folder")
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


def tarred(files: dict[str, bytes], *others: tarfile.TarInfo, form: int = tarfile.PAX_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for entry in others:
            archive.addfile(entry)
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return out.getvalue()


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, target
    return entry


PACK = {
    "zip": zipped,
    "stored.zip": lambda files: zipped(files, zipfile.ZIP_STORED),
    "xz.zip": lambda files: zipped(files, zipfile.ZIP_LZMA),
    "tar": tarred,
    "gnu.tar": lambda files: tarred(files, form=tarfile.GNU_FORMAT),
    "tar.gz": lambda files: gzip.compress(tarred(files)),
    "tar.xz": lambda files: lzma.compress(tarred(files)),
    "tar.zst": lambda files: zstandard.compress(tarred(files)),
}


class Reader:
    """Writes an upload without a suffix, as jobs see it, and reads it."""

    def __init__(self, folder: Path) -> None:
        self.path, self.report = folder / "content", Report()

    def __call__(self, data: bytes, **limits: int) -> list[Member]:
        self.path.write_bytes(data)
        return list(read_members(self.path, "data", report=self.report, limits=Limits(**limits)))

    def reasons(self) -> dict[Reason, list[str]]:
        return {reason: skipped.examples for reason, skipped in self.report.skipped.items()}


@pytest.fixture
def read(tmp_path: Path) -> Reader:
    return Reader(tmp_path)


@pytest.mark.parametrize("packing", PACK)
def test_every_packing_gives_the_same_files_in_a_fixed_order(read: Reader, packing: str) -> None:
    members = read(PACK[packing](FILES))
    assert {member.name: member.data for member in members} == FILES
    names = [member.name for member in members]
    assert names == (sorted(FILES) if packing.endswith("zip") else list(FILES))
    assert os.listdir(read.path.parent) == ["content"] and not read.report.skipped


def test_a_file_that_is_no_archive_is_its_own_member(read: Reader) -> None:
    assert read(FILES["b/2.jpg"]) == [Member("data", FILES["b/2.jpg"])]
    assert read(FILES["b/2.jpg"], max_bytes=100) == []
    assert read.reasons() == {Reason.TOO_LARGE: ["data"]}


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_hidden_unsafe_and_large_files_are_left_out_and_counted(read: Reader, pack: object) -> None:
    bad = ["../evil.png", "/etc/evil.png", "a/../../evil.png", "a\\..\\evil.png"]
    hidden = ["__MACOSX/._1.png", ".git/config", "a/.DS_Store"]
    files = {"good.png": b"1", "large.png": bytes(101), **dict.fromkeys(bad, b"x"), **dict.fromkeys(hidden, b"x")}
    members = read(pack(files), max_bytes=100)
    assert [member.name for member in members] == ["good.png"]
    assert {reason: set(names) for reason, names in read.reasons().items()} == {
        Reason.UNSAFE_NAME: set(bad),
        Reason.HIDDEN: set(hidden),
        Reason.TOO_LARGE: {"large.png"},
    }


def test_links_and_devices_of_a_tar_are_left_out(read: Reader) -> None:
    data = tarred(
        FILES,
        special("folder", tarfile.DIRTYPE),
        special("soft.png", tarfile.SYMTYPE, "/etc/passwd"),
        special("hard.png", tarfile.LNKTYPE, "../../etc/passwd"),
        special("device", tarfile.CHRTYPE),
        special("pipe", tarfile.FIFOTYPE),
    )
    assert len(read(data)) == 3
    assert read.reasons() == {Reason.LINK: ["soft.png", "hard.png"], Reason.SPECIAL: ["device", "pipe"]}


def test_links_and_encrypted_entries_of_a_zip_are_left_out(read: Reader) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        link = zipfile.ZipInfo("link.png")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("locked.png", b"secret")
        archive.writestr("good.png", b"good")
    data = bytearray(out.getvalue())
    at = data.index(b"PK\x01\x02", data.index(b"PK\x01\x02") + 1)  # locked.png in the directory
    data[at + 8] |= 1
    assert [member.name for member in read(bytes(data))] == ["good.png"]
    assert read.reasons() == {Reason.LINK: ["link.png"], Reason.ENCRYPTED: ["locked.png"]}


def test_one_broken_entry_of_a_zip_does_not_hide_the_others(read: Reader) -> None:
    data = zipped(FILES, zipfile.ZIP_STORED).replace(FILES["b/2.jpg"], FILES["b/2.jpg"][:-1] + b"?")
    assert [member.name for member in read(data)] == ["a/1.png", "c.txt"]
    assert "b/2.jpg: Bad CRC-32" in read.reasons()[Reason.BROKEN][0]


@pytest.mark.parametrize("packing", ["zip", "tar.gz", "tar.xz", "tar.zst"])
def test_a_bomb_does_not_explode(read: Reader, packing: str) -> None:
    data = PACK[packing]({f"{i}.bmp": bytes(8_000_000) for i in range(4)})
    assert len(data) < 200_000
    with pytest.raises(TooLarge, match="data: unpacks to far more than its own size"):
        read(data)


def test_entries_are_limited(read: Reader) -> None:
    files = {f"{i}.txt": b"x" for i in range(20)}
    for pack in (zipped, tarred):
        assert len(read(pack(files), max_archive_entries=20)) == 20
        with pytest.raises(TooLarge, match="more than 19 entries"):
            read(pack(files), max_archive_entries=19)


def test_the_directory_of_a_zip_is_measured_before_it_is_read(read: Reader) -> None:
    data = bytearray(zipped(FILES))
    data[-10:-6] = (1 << 31).to_bytes(4, "little")
    with pytest.raises(TooLarge, match="entries"):
        read(bytes(data))


def test_headers_of_a_tar_are_limited(read: Reader) -> None:
    entry = tarfile.TarInfo("x.png")
    entry.pax_headers = {"comment": "x" * 3_000_000}
    with pytest.raises(InvalidData, match="headers longer than"):
        read(tarred(FILES, entry))


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME])
def test_an_extended_header_is_measured_before_it_is_read(read: Reader, kind: bytes) -> None:
    def headed(size: int) -> bytes:
        entry = special("././@PaxHeader", kind)
        entry.size = size
        padded = b"1" * size + bytes(-size % tarfile.BLOCKSIZE)
        return entry.tobuf(tarfile.USTAR_FORMAT) + padded + tarred({"a.png": b"1"}, form=tarfile.USTAR_FORMAT)

    assert len(read(headed(2000))) == 1
    # Python 3.11.7 would take the square of a million steps.
    with pytest.raises(InvalidData, match="data: a member has headers longer than the limit of 8 KiB"):
        read(headed(1_000_000))


def test_many_headers_of_one_member_and_of_all_are_limited(read: Reader) -> None:
    entry = special("././@PaxHeader", tarfile.XHDTYPE)
    with pytest.raises(InvalidData, match="headers longer than"):
        read(entry.tobuf(tarfile.USTAR_FORMAT) * 2000 + tarred(FILES))
    out = io.BytesIO()
    fields = {f"key{n}": "v" for n in range(400)}
    for part in range(4):
        named = {f"{part}{key}": value for key, value in fields.items()}
        out.write(tarfile.TarInfo.create_pax_global_header(named))
    with pytest.raises(InvalidData, match="headers longer than"):
        read(out.getvalue() + tarred(FILES))


def test_names_are_read_as_tools_write_them(read: Reader) -> None:
    def named(name: str, raw: bytes) -> bytes:
        return zipped({name: b"1"}).replace(name.encode(), raw)

    assert [m.name for m in read(zipped({"holiday\\sea\\1.jpg": b"1", "holiday\\": b""}))] == ["holiday/sea/1.jpg"]
    assert [m.name for m in read(named("meer-aeae.jpg", "meer-ää.jpg".encode()))] == ["meer-ää.jpg"]  # without the flag
    assert [m.name for m in read(named("meer-a.jpg", b"meer-\x84.jpg"))] == ["meer-ä.jpg"]  # code page 437
    latin = tarred({"meer-\udce4.jpg": b"1"}, form=tarfile.GNU_FORMAT)
    assert [m.name for m in read(latin)] == ["meer-\ufffd.jpg"]
    assert not read(zipped({"C:\\sea\\1.jpg": b"1", "\\sea\\1.jpg": b"1", "a/Thumbs.db": b"1"}))
    assert read.reasons() == {
        Reason.UNSAFE_NAME: ["\\sea\\1.jpg", "C:\\sea\\1.jpg"],
        Reason.HIDDEN: ["a/Thumbs.db"],
    }


def test_entries_that_share_their_bytes_are_refused(read: Reader) -> None:
    data = bytearray(zipped({"1.png": b"1" * 100, "2.png": b"1" * 100}, zipfile.ZIP_STORED))
    first = data.index(b"PK\x01\x02", data.index(b"PK\x01\x02") + 1)  # behind that of the folder
    second = data.index(b"PK\x01\x02", first + 1)
    data[second + 42 : second + 46] = data[first + 42 : first + 46]
    with pytest.raises(InvalidData, match="data: entries of the archive overlap"):
        read(bytes(data))


def test_an_entry_that_unpacks_to_more_than_it_says_takes_no_more_memory(read: Reader) -> None:
    data = bytearray(zipped({"1.bin": bytes(30_000_000)}))
    at = data.index(b"PK\x01\x02", data.index(b"PK\x01\x02") + 1)
    data[at + 24 : at + 28] = (1000).to_bytes(4, "little")
    tracemalloc.start()
    try:
        assert not read(bytes(data))
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()
    assert "1.bin: Bad CRC-32" in read.reasons()[Reason.BROKEN][0]


@pytest.mark.parametrize("packing", PACK)
@pytest.mark.parametrize("part", [0.3, 0.9])
def test_an_archive_cut_off_is_told(read: Reader, packing: str, part: float) -> None:
    data = PACK[packing](FILES)
    if packing.endswith("tar"):
        part *= 2600 / len(data)  # behind the last file are zeros that may be missing
    with pytest.raises(InvalidData, match=r"^data: the archive is broken or cut off"):
        read(data[: int(len(data) * part)])


@pytest.mark.parametrize("packing", PACK)
def test_broken_bytes_raise_nothing_else(read: Reader, packing: str) -> None:
    generator, refused = np.random.default_rng(0), 0
    for _ in range(40):
        data = np.frombuffer(PACK[packing](FILES), np.uint8).copy()
        data[generator.integers(4, len(data), 20)] = generator.integers(0, 256, 20)
        try:
            read(data.tobytes())
        except AppError:
            refused += 1
    assert refused > 3
