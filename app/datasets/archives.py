"""Archives as a stream of members: .zip, .tar, .tar.gz, .tar.xz, .tar.zst. Nothing is written to disk.

An archive is known by its first bytes. A zip is read sorted by name, a tar as it is stored; both orders
are the same each time. Memory holds one member, and for a zip its directory.
"""

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO

from app.datasets.compression import COMPRESSIONS
from app.datasets.reports import Reason, Report
from app.datasets.sources import Budget, explain, reading
from app.datasets.tars import read_tar
from app.datasets.zips import name_reason, open_zip, path_of, read_entries, read_entry, readable
from app.media.limits import DEFAULT_LIMITS, MIB, Limits

PACKED = {b"\x1f\x8b": ".gz", b"\xfd7zXZ\0": ".xz", b"\x28\xb5\x2f\xfd": ".zst"}
SKIPPABLE = b"\x2a\x4d\x18"  # a frame of zstd that holds no data, behind a byte from 0x50 to 0x5f


@dataclass(frozen=True, slots=True)
class Member:
    """One file of an archive; `name` is its path inside, with `/`, never leaving the archive."""

    name: str
    data: bytes
    share: float = field(default=1.0, compare=False)  # of the archive that has been read with it, about


def read_members(
    path: Path, filename: str, *, report: Report, limits: Limits = DEFAULT_LIMITS, look: int | None = None
) -> Iterator[Member]:
    """The regular, visible files of an archive, each at most `limits.max_bytes`; what is left out is reported.

    A file that is no archive is its own only member. Raises InvalidData where the archive itself is
    broken and TooLarge where it has too many entries or unpacks to far more than its own size. With
    `look`, raises Exhausted once so many bytes are unpacked.
    """
    size = path.stat().st_size
    budget = Budget(filename, size * limits.max_archive_ratio + 16 * MIB, look)
    with path.open("rb") as file, reading(filename, "the archive is broken or cut off"):
        head = file.read(262 + 5)
        file.seek(0)
        if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
            yield from _read_zip(file, filename, report, limits, budget)
        elif suffix := _compression(head):
            with COMPRESSIONS[suffix](file) as unpacked:
                yield from _placed(_read_tar(unpacked, filename, report, limits, budget), file, size)
        elif head[257:262] == b"ustar":
            yield from _placed(_read_tar(file, filename, report, limits, budget), file, size)
        elif size > limits.max_bytes:
            report.skip(Reason.TOO_LARGE, filename)
        else:
            yield Member(filename, file.read())


def _compression(head: bytes) -> str | None:
    if head[1:4] == SKIPPABLE and head[0] >> 4 == 5:
        return ".zst"
    return next((suffix for magic, suffix in PACKED.items() if head.startswith(magic)), None)


def _placed(members: Iterator[Member], file: BinaryIO, size: int) -> Iterator[Member]:
    for member in members:
        yield replace(member, share=min(1.0, file.tell() / size))


def _read_tar(stream: IO[bytes], filename: str, report: Report, limits: Limits, budget: Budget) -> Iterator[Member]:
    for archive, entry in read_tar(stream, filename, budget, limits.max_archive_entries):
        name = readable(entry.name)
        path = path_of(name)
        if entry.isdir():
            continue
        if reason := _tar_reason(entry) or name_reason(path) or _size_reason(entry.size, limits):
            report.skip(reason, name)
            continue
        content = archive.extractfile(entry)
        assert content is not None
        yield Member(str(PurePosixPath(path)), content.read())


def _tar_reason(entry: tarfile.TarInfo) -> Reason | None:
    if entry.issym() or entry.islnk():
        return Reason.LINK
    return None if entry.isreg() and not entry.issparse() else Reason.SPECIAL


def _read_zip(file: BinaryIO, filename: str, report: Report, limits: Limits, budget: Budget) -> Iterator[Member]:
    with open_zip(file, filename, limits.max_archive_entries) as archive:
        entries = read_entries(archive, filename, limits.max_archive_entries)
        for number, entry in enumerate(entries, 1):
            budget.spend(0)
            if reason := entry.reason or _size_reason(entry.info.file_size, limits):
                report.skip(reason, entry.name)
                continue
            budget.spend(entry.info.file_size)
            try:
                data = read_entry(archive, entry.info)
            except Exception as e:  # as `reading` takes it, but other entries may be sound
                report.skip(Reason.BROKEN, entry.name, explain(e))
                continue
            yield Member(str(PurePosixPath(entry.path)), data, number / len(entries))


def _size_reason(size: int, limits: Limits) -> Reason | None:
    return Reason.TOO_LARGE if size > limits.max_bytes else None
