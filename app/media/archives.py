"""Archives as a stream of members: .zip, .tar, .tar.gz, .tar.xz, .tar.zst. Nothing is written to disk.

An archive is known by its first bytes. A zip is read sorted by name, a tar as it is stored; both orders
are the same each time. Memory holds one member, and for a zip its directory.
"""

import io
import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO

import zstandard

from app.errors import InvalidData, TooLarge
from app.media.documents import COMPRESSIONS, is_hidden
from app.media.limits import DEFAULT_LIMITS, MIB, Limits
from app.media.reports import Reason, Report

PACKED = {b"\x1f\x8b": ".gz", b"\xfd7zXZ\0": ".xz", b"\x28\xb5\x2f\xfd": ".zst"}
BROKEN = (
    EOFError,
    tarfile.TarError,
    zipfile.BadZipFile,
    lzma.LZMAError,
    zlib.error,
    zstandard.ZstdError,
    struct.error,
    NotImplementedError,  # a compression that zipfile does not know
    OSError,  # a place far outside the file; gzip's own
    ValueError,  # of a name's encoding, a date, a negative place
)
ENCRYPTED = 0x1  # a flag of a zip entry
BYTES_AN_ENTRY = 256  # of a zip's directory, names and extra fields included
TAR_HEADERS = 1 * MIB  # of one member: long names and attributes


@dataclass(frozen=True, slots=True)
class Member:
    """One file of an archive; `name` is its path inside, with `/`, never leaving the archive."""

    name: str
    data: bytes
    share: float = field(default=1.0, compare=False)  # of the archive that has been read with it, about


def read_members(path: Path, filename: str, *, report: Report, limits: Limits = DEFAULT_LIMITS) -> Iterator[Member]:
    """The regular, visible files of an archive, each at most `limits.max_bytes`; what is left out is reported.

    A file that is no archive is its own only member. Raises InvalidData where the archive itself is
    broken and TooLarge where it has too many entries or unpacks to far more than its own size.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(262 + 5)
        file.seek(0)
        budget = _Budget(filename, size * limits.max_archive_ratio + 16 * MIB)
        try:
            if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
                yield from _read_zip(file, filename, report, limits, budget)
            elif suffix := next((PACKED[magic] for magic in PACKED if head.startswith(magic)), None):
                with closing(COMPRESSIONS[suffix](file)) as unpacked:
                    yield from _placed(_read_tar(unpacked, filename, report, limits, budget), file, size)
            elif head[257:262] == b"ustar":
                yield from _placed(_read_tar(file, filename, report, limits, budget), file, size)
            elif size > limits.max_bytes:
                report.skip(Reason.TOO_LARGE, filename)
            else:
                yield Member(filename, file.read())
        except BROKEN as e:
            raise InvalidData(f"{filename}: the archive is broken or cut off ({e})") from e


def _placed(members: Iterator[Member], file: BinaryIO, size: int) -> Iterator[Member]:
    for member in members:
        yield replace(member, share=min(1.0, file.tell() / size))


class _Budget:
    """How many bytes an archive may still unpack to."""

    def __init__(self, filename: str, size: int) -> None:
        self._filename, self._left = filename, size

    def spend(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise TooLarge(f"{self._filename}: unpacks to far more than its own size; pack it less tightly")


class _Metered(io.RawIOBase):
    """A stream that may be read on for so many bytes until more are granted: a tar's headers have no limit."""

    def __init__(self, stream: IO[bytes], budget: _Budget) -> None:
        self._stream, self._budget, self._granted = stream, budget, 0

    def grant(self, count: int) -> None:
        self._granted = count + tarfile.RECORDSIZE

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        data = self._stream.read(size)
        self._budget.spend(len(data))
        self._granted -= len(data)
        if self._granted < 0:
            raise InvalidData("a member of the archive has absurdly long headers")
        return data


def _read_tar(stream: IO[bytes], filename: str, report: Report, limits: Limits, budget: _Budget) -> Iterator[Member]:
    metered = _Metered(stream, budget)
    metered.grant(TAR_HEADERS)
    with tarfile.open(fileobj=metered, mode="r|") as archive:
        count = 0
        while (entry := archive.next()) is not None:
            archive.members.clear()  # type: ignore[attr-defined]  # or it would remember every member
            count += 1
            _check_entries(count, filename, limits)
            metered.grant(entry.size + TAR_HEADERS)
            reason = _tar_reason(entry, limits)
            if reason is not None:
                report.skip(reason, entry.name)
            elif not entry.isdir():
                content = archive.extractfile(entry)
                assert content is not None
                yield Member(str(PurePosixPath(entry.name)), content.read())


def _tar_reason(entry: tarfile.TarInfo, limits: Limits) -> Reason | None:
    if entry.isdir():
        return None
    if entry.issym() or entry.islnk():
        return Reason.LINK
    if not entry.isreg() or entry.issparse():
        return Reason.SPECIAL
    return _reason(entry.name, entry.size, limits)


def _read_zip(file: BinaryIO, filename: str, report: Report, limits: Limits, budget: _Budget) -> Iterator[Member]:
    if _directory_size(file) > limits.max_archive_entries * BYTES_AN_ENTRY:
        raise TooLarge(f"{filename}: more than {limits.max_archive_entries} entries")
    with zipfile.ZipFile(file) as archive:
        entries = [entry for entry in archive.infolist() if not entry.is_dir()]
        _check_entries(len(entries), filename, limits)
        for number, entry in enumerate(sorted(entries, key=lambda entry: entry.filename), 1):
            reason = Reason.ENCRYPTED if entry.flag_bits & ENCRYPTED else None
            mode = entry.external_attr >> 28  # the kind of file where Unix made it: 10 is a link, 8 a file
            if mode not in (0, 8):
                reason = Reason.LINK if mode == 10 else Reason.SPECIAL
            reason = reason or _reason(entry.filename, entry.file_size, limits)
            if reason is not None:
                report.skip(reason, entry.filename)
                continue
            budget.spend(entry.file_size)
            try:
                data = archive.read(entry)  # no more than file_size, whatever is packed
            except BROKEN as e:
                report.skip(Reason.BROKEN, entry.filename, str(e))
                continue
            yield Member(str(PurePosixPath(entry.filename)), data, number / len(entries))


def _directory_size(file: BinaryIO) -> int:
    """Bytes of a zip's directory, which zipfile reads whole: known only from the record at the file's end."""
    size = file.seek(0, io.SEEK_END)
    file.seek(max(0, size - 65_536 - 22 - 76))
    tail = file.read()
    file.seek(0)
    # As zipfile does it: at the very end where there is no comment behind it, else the last that is found.
    plain = tail[-22:].startswith(b"PK\x05\x06") and tail.endswith(b"\0\0")
    at = len(tail) - 22 if plain else tail.rfind(b"PK\x05\x06")
    if at < 0:
        raise zipfile.BadZipFile("no directory at its end")
    declared = int.from_bytes(tail[at + 12 : at + 16], "little")
    if tail[max(0, at - 76) :].startswith(b"PK\x06\x06"):  # of more than 4 GiB
        declared = int.from_bytes(tail[at - 76 + 40 : at - 76 + 48], "little")
    return declared


def _check_entries(count: int, filename: str, limits: Limits) -> None:
    if count > limits.max_archive_entries:
        raise TooLarge(f"{filename}: more than {limits.max_archive_entries} entries")


def _reason(name: str, size: int, limits: Limits) -> Reason | None:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name or not path.name:
        return Reason.UNSAFE_NAME
    if is_hidden(name):
        return Reason.HIDDEN
    return Reason.TOO_LARGE if size > limits.max_bytes else None
