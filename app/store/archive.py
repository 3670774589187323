"""A stored version as an uncompressed tar. Its bytes depend on the files only, so that a part can be made alone."""

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from app.store.store import ModelEntry
from app.store.version_files import VersionFile, list_files

PIECE = 64 * 1024  # bytes

_END = bytes(2 * tarfile.BLOCKSIZE)
_MODE = 0o644


@dataclass(frozen=True)
class _Segment:
    """A part of the archive: bytes, or a file of `size` bytes."""

    content: bytes | Path
    size: int


class ModelArchive:
    """The archive of a version: its files in order of their names, with a fixed owner, mode and time.

    size: bytes. digest: 64 hex digits that follow from the digests of the files.
    """

    def __init__(self, entry: ModelEntry) -> None:
        version = list_files(entry)
        self._entry = entry  # keeps the local copy of a version that is in a bucket
        self.filename = f"{entry.name.replace('/', '-')}-{entry.version}.tar"
        self.digest = version.digest
        self._segments = [segment for file in version.files.values() for segment in _segments(file)]
        self._segments.append(_Segment(_END, len(_END)))
        self.size = sum(segment.size for segment in self._segments)

    def read(self, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Yields the bytes from `start` to `end`, exclusive, in pieces of 64 KiB at most.

        Raises OSError for a file that is gone or shorter than it was, as its version was deleted meanwhile.
        """
        end = self.size if end is None else end
        position = 0
        for segment in self._segments:
            first, last = max(start - position, 0), min(end - position, segment.size)
            if first < last:
                yield from _read(segment.content, first, last)
            position += segment.size


def _segments(file: VersionFile) -> Iterator[_Segment]:
    header = tarfile.TarInfo(file.name)  # time 0 and owner 0, without a name
    header.size, header.mode = file.size, _MODE
    encoded = header.tobuf(tarfile.PAX_FORMAT)
    yield _Segment(encoded, len(encoded))
    yield _Segment(file.path, file.size)
    padding = -file.size % tarfile.BLOCKSIZE
    yield _Segment(bytes(padding), padding)


def _read(content: bytes | Path, first: int, last: int) -> Iterator[bytes]:
    if isinstance(content, bytes):
        yield content[first:last]
        return
    with content.open("rb") as file:
        file.seek(first)
        while first < last:
            piece = file.read(min(PIECE, last - first))
            if not piece:
                raise OSError(f"{content} is shorter than it was")
            first += len(piece)
            yield piece
