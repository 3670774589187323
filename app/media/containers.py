"""Containers of audio and video: opens a file with FFmpeg (PyAV) as the one format that it was sniffed to be."""

import io
import re
from collections.abc import Iterator
from typing import Any, overload

import av
from av.container import InputContainer

from app.errors import TooLarge
from app.media.sniff import Kind, reading, tags_length

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


# What decoders answer to a frame that is larger than allowed or than the memory.
BEYOND_LIMITS = (av.error.ArgumentError, av.error.MemoryError)

# FFmpeg makes room for every sample that an MP4 declares (24 bytes), be the file ever so small.
MAX_SAMPLES = 2_000_000
COUNTS = re.compile(rb"(?:stsz|stz2).{8}(.{4})|trun.{4}(.{4})", re.DOTALL)
CONTENT = {b"mdat", b"free", b"skip"}


def open_container(data: bytes, kind: Kind) -> InputContainer:
    """The container, to be closed (`with`), which ends its decoders too."""
    if DEMUXERS[kind.name] == "mp4":
        _check_samples(data)
    tags = tags_length(data)
    with reading(kind):
        return av.open(io.BytesIO(data[tags:] if tags else data), mode="r", format=DEMUXERS[kind.name])


@overload
def decode_frames(container: InputContainer, stream: av.AudioStream) -> Iterator[av.AudioFrame]: ...
@overload
def decode_frames(container: InputContainer, stream: av.VideoStream) -> Iterator[av.VideoFrame]: ...
def decode_frames(container: InputContainer, stream: av.AudioStream | av.VideoStream) -> Iterator[Any]:
    """Decodes from where the container stands to its end. Leaves out the packets that the decoder refuses.

    So do players and FFmpeg's own program: tags, padding and damage lie between good packets. The first
    error is raised where no packet at all could be decoded, and at once where a frame is beyond the limits.
    """
    refused: av.error.FFmpegError | None = None
    found = False
    for packet in read_packets(container, stream):
        try:
            frames = packet.decode()
        except BEYOND_LIMITS:
            raise
        except av.error.FFmpegError as e:  # some decoders return numbers that no error has
            refused = refused or e
            continue
        found = found or bool(frames)
        yield from frames
    if refused and not found:
        raise refused


def read_packets(container: InputContainer, stream: av.AudioStream | av.VideoStream) -> Iterator["av.Packet[Any]"]:
    """Reads packets up to the end, or to where the container is damaged. The last one, empty, ends the decoder."""
    try:
        yield from container.demux(stream)
    except av.error.InvalidDataError:
        end: av.Packet[Any] = av.Packet()
        end.stream = stream
        yield end


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
