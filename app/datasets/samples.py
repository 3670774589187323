"""A data set of one modality out of uploaded files: archives, or single media files."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from app.datasets.archives import Member, read_members
from app.datasets.reports import Reason, Report
from app.datasets.sources import Exhausted
from app.errors import AppError, InvalidData
from app.media.lengths import LENGTHS, Length
from app.media.limits import DEFAULT_LIMITS, MIB, Limits
from app.media.sniff import ACCEPTED, ARTICLES, Kind, describe, sniff
from app.types import Modality

MAX_GROUP = 16
LOOKED_AT = 1000  # files of an archive
LOOKED_AT_BYTES = 64 * MIB  # of them, once one is usable
MOST_UNPACKED = 512 * MIB  # of an archive, whatever is in it: a usable file may be half as large
MEASURED = 100  # items whose length is looked up


@dataclass(frozen=True, slots=True)
class Sample:
    """One media file, and what WebDataset puts beside it: files that share its name up to its last dot.

    Of `train/000123.jpg` and `train/000123.cls` the key is `train/000123` and `beside` is {"cls": b"7"}.
    """

    key: str
    name: str
    data: bytes
    beside: dict[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MediaSample:
    """The beginning of a file of media, from which the whole is judged before a job is queued."""

    items: int  # that are usable, as far as can be told without decoding them
    share: float  # of the file that was looked at; 1: all of it, else about as much
    lengths: tuple[Length, ...] = ()  # of the first items, where the modality has any

    @property
    def whole(self) -> bool:
        return self.share == 1.0


def read_samples(
    path: Path, filename: str, modality: Modality, *, report: Report, limits: Limits = DEFAULT_LIMITS
) -> Iterator[Sample]:
    """The media of one modality, told by their bytes; all else is reported and left out.

    Each is counted as usable; `report.broken` takes back what then cannot be decoded. The order is that
    of the archive, the same each time. Raises InvalidData and TooLarge for the archive itself.
    """
    for key, group in _groups(read_members(path, filename, report=report, limits=limits), limits):
        media: list[Member] = []
        others: list[tuple[Member, Kind | None]] = []
        for member in group:
            kind = sniff(member.data)
            if kind is not None and kind.modality == modality:
                media.append(member)
            else:
                others.append((member, kind))
        stems = [_stem(member.name) for member in media]
        for member, kind in others:
            if kind is None and any(member.name.startswith(stem) for stem in stems):
                report.skip(Reason.BESIDE, member.name)
            else:
                report.skip(Reason.OTHER_KIND, member.name, describe(member.data, kind))
        for member, stem in zip(media, stems, strict=True):
            beside = {o.name[len(stem) :]: o.data for o, _ in others if o.name.startswith(stem)}
            report.usable += 1
            yield Sample(key, member.name, member.data, beside)


def check_samples(path: Path, filename: str, modality: Modality, *, limits: Limits = DEFAULT_LIMITS) -> MediaSample:
    """The light look before a job is queued: raises InvalidData where nothing near the beginning is of use.

    It ends with LOOKED_AT files, LOOKED_AT_BYTES of them, or MOST_UNPACKED of the archive. The share is that of
    a zip's entries, or of a tar's bytes.
    """
    report, lengths, size, share = Report(), list[Length](), 0, 1.0
    nothing = "an empty archive"
    try:
        for number, member in enumerate(
            read_members(path, filename, report=report, limits=limits, look=MOST_UNPACKED), 1
        ):
            size += len(member.data)
            share = member.share
            try:
                if length := _look(member, modality, len(lengths) < MEASURED, report, limits):
                    lengths.append(length)
            except AppError as e:
                report.skip(Reason.BROKEN, member.name, e.message)
            if number == LOOKED_AT or (report.usable and size >= LOOKED_AT_BYTES):
                break
        else:
            share = 1.0
    except Exhausted:
        nothing = "no file near its beginning"
    if report.usable:
        return MediaSample(report.usable, share, tuple(lengths))
    raise InvalidData(
        f"{filename}: expected {ARTICLES[modality]} ({', '.join(ACCEPTED[modality])}) or an archive (.zip, .tar,"
        f" .tar.gz, .tar.xz, .tar.zst) of such files; found {report.summary() or nothing}"
    )


def _look(member: Member, modality: Modality, measure: bool, report: Report, limits: Limits) -> Length | None:
    """Counts a file; its length, if that is asked for and it has one."""
    kind, length = sniff(member.data), None
    if kind is None or kind.modality != modality:
        report.skip(Reason.OTHER_KIND, member.name, describe(member.data, kind))
        return None
    if measure and modality in LENGTHS:
        length = LENGTHS[modality](member.data, kind, limits)
    report.usable += 1
    return length


def _groups(members: Iterator[Member], limits: Limits) -> Iterator[tuple[str, list[Member]]]:
    """Neighbours of one key, as WebDataset has them: the name up to the first dot of its last part.

    A group is bounded: all of `film.0001.png`, `film.0002.png`, … have one key, and may be many.
    """
    key, group = "", list[Member]()
    for member in members:
        own = _key(member.name)
        full = len(group) == MAX_GROUP or sum(len(other.data) for other in group) > limits.max_bytes
        if group and (own != key or full):
            yield key, group
            group = []
        key = own
        group.append(member)
    if group:
        yield key, group


def _key(name: str) -> str:
    folder, slash, last = name.rpartition("/")
    return folder + slash + last.partition(".")[0]


def _stem(name: str) -> str:
    """The name up to its last dot, which is part of it."""
    folder, slash, last = name.rpartition("/")
    return folder + slash + (last.rpartition(".")[0] or last) + "."
