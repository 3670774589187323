"""Archives as a stream of members: .zip, .tar, .tar.gz, .tar.xz, .tar.zst. Nothing is written to disk.

The format is detected from the first bytes. The members of a zip come sorted by name, those of a tar as stored, so the
order is always the same. Memory holds one member, and the directory of a zip.

Arrays of images or sounds, a .npy or those of a .npz, which is a zip, are archives of their items: see `media.arrays`.
"""

import io
import tarfile
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO

from app.datasets.compression import COMPRESSIONS
from app.datasets.reports import Reason, Report
from app.datasets.sources import Budget, explain, reading, unlimited
from app.datasets.tars import read_tar
from app.datasets.zips import (
    ZipEntry,
    check_path,
    normalize_separators,
    open_entry,
    open_zip,
    read_entries,
    read_entry,
    replace_invalid_characters,
)
from app.errors import InvalidData, TooLarge
from app.media.arrays import EXPECTED, MAGIC, open_array, read_rate
from app.media.limits import DEFAULT_LIMITS, MIB, Limits

PACKED = {b"\x1f\x8b": ".gz", b"\xfd7zXZ\0": ".xz", b"\x28\xb5\x2f\xfd": ".zst"}
RATES = ("rate.npy", "sampling_rate.npy", "sample_rate.npy")  # of a .npz, beside its sounds
SKIPPABLE = b"\x2a\x4d\x18"  # a zstd frame without data; it starts with a byte from 0x50 to 0x5f


@dataclass(frozen=True, slots=True)
class Member:
    """One file of an archive. `name` is its relative path, with `/` and without `..`."""

    name: str
    data: bytes
    share: float = field(default=1.0, compare=False)  # the approximate share of the archive read so far


def read_members(
    path: Path, filename: str, *, report: Report, limits: Limits = DEFAULT_LIMITS, look: int | None = None
) -> Iterator[Member]:
    """Yields the regular, visible files of an archive of at most `limits.max_bytes` each. Reports the skipped ones.

    A file that is not an archive is its own only member.

    look: stops with Exhausted after this many unpacked bytes.

    Raises InvalidData for a broken archive, and TooLarge for one with too many entries or a compression ratio beyond
    `limits.max_archive_ratio`.
    """
    size = path.stat().st_size
    budget = Budget(filename, size * limits.max_archive_ratio + 16 * MIB, look)
    with path.open("rb") as file, reading(filename, "the archive is broken or cut off"):
        head = file.read(262 + 5)
        file.seek(0)
        if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
            yield from _read_zip(file, filename, report, limits, budget)
        elif suffix := detect_compression(head):
            with COMPRESSIONS[suffix](file) as unpacked:
                yield from _add_share(_read_tar(unpacked, filename, report, limits, budget), file, size)
        elif head.startswith(MAGIC):
            yield from _read_array(file, filename, report, limits, budget)
        elif head[257:262] == b"ustar":
            yield from _add_share(_read_tar(file, filename, report, limits, budget), file, size)
        elif size > limits.max_bytes:
            report.skip(Reason.TOO_LARGE, filename)
        else:
            yield Member(filename, file.read())


def detect_compression(head: bytes) -> str | None:
    if head[1:4] == SKIPPABLE and head[0] >> 4 == 5:
        return ".zst"
    return next((suffix for magic, suffix in PACKED.items() if head.startswith(magic)), None)


def _add_share(members: Iterator[Member], file: BinaryIO, size: int) -> Iterator[Member]:
    """Sets the share of each member from the position in the packed file."""
    for member in members:
        yield replace(member, share=min(1.0, file.tell() / size))


def _read_tar(stream: IO[bytes], filename: str, report: Report, limits: Limits, budget: Budget) -> Iterator[Member]:
    for archive, entry in read_tar(stream, filename, budget, limits.max_archive_entries):
        name = replace_invalid_characters(entry.name)
        path = normalize_separators(name)
        if entry.isdir():
            continue
        if reason := check_type(entry) or check_path(path) or _check_size(path, entry.size, limits):
            report.skip(reason, name)
            continue
        content = archive.extractfile(entry)
        assert content is not None
        if _is_array(path):
            yield from _read_array(content, path, report, limits, unlimited())
            continue
        yield Member(str(PurePosixPath(path)), content.read())


def check_type(entry: tarfile.TarInfo) -> Reason | None:
    """Returns the reason to skip an entry of a tar because of its type, or None."""
    if entry.issym() or entry.islnk():
        return Reason.LINK
    return None if entry.isreg() and not entry.issparse() else Reason.SPECIAL


def _read_zip(file: BinaryIO, filename: str, report: Report, limits: Limits, budget: Budget) -> Iterator[Member]:
    with open_zip(file, filename, limits.max_archive_entries) as archive:
        entries = read_entries(archive, filename, limits.max_archive_entries)
        rate = _find_rate(archive, entries)
        for number, entry in enumerate(entries, 1):
            budget.spend(0)
            if reason := entry.reason or _check_size(entry.path, entry.info.file_size, limits):
                report.skip(reason, entry.name)
                continue
            if PurePosixPath(entry.path).name in RATES:
                report.skip(Reason.BESIDE, entry.name)
                continue
            if _is_array(entry.path):
                with open_entry(archive, entry.info) as stream:
                    content = io.BufferedReader(stream)
                    for item in _read_array(content, entry.path, report, limits, budget, rate):
                        yield replace(item, share=(number - 1 + item.share) / len(entries))
                continue
            budget.spend(entry.info.file_size)
            try:
                data = read_entry(archive, entry.info)
            except Exception as e:  # any exception, as in `reading`; other entries may be intact
                report.skip(Reason.BROKEN, entry.name, explain(e))
                continue
            yield Member(str(PurePosixPath(entry.path)), data, number / len(entries))


def _check_size(path: str, size: int, limits: Limits) -> Reason | None:
    return Reason.TOO_LARGE if size > limits.max_bytes and not _is_array(path) else None


def _is_array(path: str) -> bool:
    return path.lower().endswith(".npy")


def _find_rate(archive: zipfile.ZipFile, entries: Sequence[ZipEntry]) -> int | None:
    """Returns the rate of the sounds of a .npz; None if it tells none."""
    for entry in entries:
        if PurePosixPath(entry.path).name in RATES and entry.reason is None:
            try:
                with open_entry(archive, entry.info) as stream:
                    return read_rate(io.BufferedReader(stream))
            except InvalidData as e:
                raise InvalidData(f"{archive.filename or 'the archive'}: {entry.path}: {e.message}") from e
    return None


def _read_array(
    stream: IO[bytes], path: str, report: Report, limits: Limits, budget: Budget, rate: int | None = None
) -> Iterator[Member]:
    """Yields the items of an array. Reports one that is damaged, or holds neither images nor sounds."""
    stem = path[: -len(".npy")] if _is_array(path) else path
    try:
        array = open_array(stream, rate)
    except InvalidData as e:
        report.skip(Reason.BROKEN, path, e.message)
        return
    if array.kind is None:
        report.skip(Reason.OTHER_KIND, path, f"{EXPECTED}, found {array.describe()}")
        return
    for number in range(array.count):
        if array.item_bytes <= limits.max_bytes:
            budget.spend(array.item_bytes)  # before the bytes are in memory
        try:
            item = array.read_item(number, limits)
        except (InvalidData, TooLarge) as e:  # not those of the budget, which are the whole archive's
            report.skip(Reason.BROKEN if isinstance(e, InvalidData) else Reason.TOO_LARGE, path, e.message)
            return
        name = f"{stem}/{number:06}" if array.is_list else stem  # that of one item stays beside its label
        yield Member(name + item.suffix, item.data, item.share)
