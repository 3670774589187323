"""What audio and video share: opening a file with FFmpeg (PyAV), as the one format that it was sniffed to be."""

import io
import re
from collections.abc import Iterator

import av
from av.container import InputContainer

from app.errors import TooLarge
from app.media.sniff import Kind, reading

# FFmpeg's demuxers. Named rather than probed: some that it would probe for open other files and addresses.
DEMUXERS = {
    "WAV": "wav",
    "FLAC": "flac",
    "Ogg": "ogg",
    "MP3": "mp3",
    "AAC": "aac",
    "M4A": "mp4",
    "WebM audio": "matroska",
    "MP4": "mp4",
    "WebM": "matroska",
}


# FFmpeg makes room for every sample that an MP4 declares (24 bytes), be the file ever so small.
MAX_SAMPLES = 2_000_000
COUNTS = re.compile(rb"(?:stsz|stz2).{8}(.{4})|trun.{4}(.{4})", re.DOTALL)
CONTENT = {b"mdat", b"free", b"skip"}


def open_container(data: bytes, kind: Kind) -> InputContainer:
    """The container, to be closed (`with`), which ends its decoders too."""
    if DEMUXERS[kind.name] == "mp4":
        _check_samples(data)
    with reading(kind):
        return av.open(io.BytesIO(data), mode="r", format=DEMUXERS[kind.name])


def _check_samples(data: bytes) -> None:
    for start, end in _headers(data):
        for found in COUNTS.finditer(data, start, end):
            if (count := int.from_bytes(found.group(1) or found.group(2))) > MAX_SAMPLES:
                raise TooLarge(f"the file declares {count} samples, where {MAX_SAMPLES} are allowed")


def _headers(data: bytes) -> Iterator[tuple[int, int]]:
    """(start, end) of each box of an MP4's outermost level but those with the pictures and sounds themselves."""
    at = 0
    while at + 8 <= len(data):
        size, kind = int.from_bytes(data[at : at + 4]), data[at + 4 : at + 8]
        if size == 1:
            size = int.from_bytes(data[at + 8 : at + 16])
        end = at + size if size else len(data)
        if kind not in CONTENT:
            yield at, end
        at = max(at + 8, end)
