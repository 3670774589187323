"""Media samples of one modality, read from archives or single media files."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from app.datasets.archives import Member, read_members
from app.datasets.previews import FIRST, Preview, PreviewItem, list_left_out, measure
from app.datasets.reports import Reason, Report
from app.datasets.sources import Exhausted
from app.errors import AppError, InvalidData
from app.media.accepted import AcceptedFiles
from app.media.lengths import Length
from app.media.limits import DEFAULT_LIMITS, MIB, Limits
from app.media.sniff import Kind, describe, sniff

MAX_GROUP = 16
CHECKED_FILES = 1000  # of an archive
CHECKED_BYTES = 64 * MIB  # of these files, once one of them is usable
MAX_UNPACKED = 512 * MIB  # of an archive; a usable file may have half of it
MEASURED = 100  # items whose length is read


@dataclass(frozen=True, slots=True)
class Sample:
    """One media file, and the files that share its name up to the last dot, as in WebDataset.

    The files `train/000123.jpg` and `train/000123.cls` give the key `train/000123` and `beside` {"cls": b"7"}.
    """

    key: str
    name: str
    data: bytes
    beside: dict[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MediaSample:
    """Facts about the beginning of a media file, checked before a job is queued."""

    items: int  # usable ones, as far as is known without decoding them
    share: float  # the approximate share of the file that was checked; exactly 1 if it was checked completely
    lengths: tuple[Length, ...] = ()  # of the first items, if items of the modality have a length
    preview: Preview | None = None

    @property
    def whole(self) -> bool:
        return self.share == 1.0


def read_samples(
    path: Path, filename: str, accepted: AcceptedFiles, *, report: Report, limits: Limits = DEFAULT_LIMITS
) -> Iterator[Sample]:
    """Yields the media files of one modality, detected by their bytes. Reports the skipped files.

    Counts each sample as usable; call `report.mark_broken` for one that cannot be decoded. The order is always the
    same. Raises InvalidData and TooLarge for the archive itself.
    """
    for key, group in _group(read_members(path, filename, report=report, limits=limits), limits):
        media: list[Member] = []
        others: list[tuple[Member, Kind | None]] = []
        for member in group:
            if accepted.accepts(member.data):
                media.append(member)
            else:
                others.append((member, sniff(member.data)))
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


def check_samples(
    path: Path, filename: str, accepted: AcceptedFiles, *, limits: Limits = DEFAULT_LIMITS
) -> MediaSample:
    """Checks the beginning of a file before a job is queued. Raises InvalidData if it has no usable item.

    Stops after CHECKED_FILES files, CHECKED_BYTES of them, or MAX_UNPACKED bytes of the archive. The share is measured
    in entries of a zip, or in bytes of a tar.
    """
    report, lengths, size, share = Report(), list[Length](), 0, 1.0
    names: list[str] = []  # of usable files
    nothing = "an empty archive"
    try:
        for number, member in enumerate(
            read_members(path, filename, report=report, limits=limits, look=MAX_UNPACKED), 1
        ):
            size += len(member.data)
            share = member.share
            try:
                if length := _check_member(member, accepted, len(lengths) < MEASURED, report, limits):
                    lengths.append(length)
                if len(names) < report.usable:
                    names.append(member.name)
            except AppError as e:
                report.skip(Reason.BROKEN, member.name, e.message)
            if number == CHECKED_FILES or (report.usable and size >= CHECKED_BYTES):
                break
        else:
            share = 1.0
    except Exhausted:
        nothing = "no file near its beginning"
    if report.usable:
        return MediaSample(report.usable, share, tuple(lengths), _preview(names, lengths, report, share))
    raise InvalidData(
        f"{filename}: expected {accepted.article} ({', '.join(accepted.formats)}) or an archive (.zip, .tar,"
        f" .tar.gz, .tar.xz, .tar.zst) of such files; found {report.summary() or nothing}"
    )


def _preview(names: Sequence[str], lengths: Sequence[Length], report: Report, share: float) -> Preview:
    seconds = [length.seconds for length in lengths]
    items = [PreviewItem(None, name, seconds[at] if at < len(seconds) else None) for at, name in enumerate(names)]
    return Preview(
        items=report.usable,
        share=share,
        first=tuple(items[:FIRST]),
        lengths=measure(seconds, "seconds"),
        left_out=list_left_out(report),
    )


def _check_member(
    member: Member, accepted: AcceptedFiles, measure: bool, report: Report, limits: Limits
) -> Length | None:
    """Counts a file in the report. Returns its length if `measure` is set and its modality has lengths."""
    if not accepted.accepts(member.data):
        report.skip(Reason.OTHER_KIND, member.name, describe(member.data, sniff(member.data)))
        return None
    length = accepted.length(member.data, limits) if measure and accepted.length else None
    report.usable += 1
    return length


def _group(members: Iterator[Member], limits: Limits) -> Iterator[tuple[str, list[Member]]]:
    """Groups consecutive members with the same key, as WebDataset does. The key is the path up to the file's first dot.

    The size of a group is bounded, because many files such as `film.0001.png`, `film.0002.png`, … share one key.
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
    """Returns the name up to and including its last dot."""
    folder, slash, last = name.rpartition("/")
    return folder + slash + (last.rpartition(".")[0] or last) + "."
