"""Audio and video containers, opened with FFmpeg (PyAV) as the one format that was detected."""

import io
import re
from collections.abc import Iterator
from typing import Any, overload

import av
from av.container import InputContainer

from app.errors import TooLarge
from app.media.sniff import Kind, decoder_errors, tags_length

# FFmpeg's demuxers. They are named because probing could choose a demuxer that opens other files and URLs.
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

# Errors of decoders for a frame that exceeds the limit or the memory.
BEYOND_LIMITS = (av.error.ArgumentError, av.error.MemoryError)

# FFmpeg allocates 24 bytes for every sample that an MP4 declares, however small the file is.
MAX_SAMPLES = 2_000_000
COUNTS = re.compile(rb"(?:stsz|stz2).{8}(.{4})|trun.{4}(.{4})", re.DOTALL)
CONTENT = {b"mdat", b"free", b"skip"}


def open_container(data: bytes, kind: Kind) -> InputContainer:
    """Opens a container. Closing it (`with`) also closes its decoders. Raises InvalidData and TooLarge."""
    if DEMUXERS[kind.name] == "mp4":
        _check_samples(data)
    tags = tags_length(data)
    with decoder_errors(kind):
        return av.open(io.BytesIO(data[tags:] if tags else data), mode="r", format=DEMUXERS[kind.name])


@overload
def decode_frames(container: InputContainer, stream: av.AudioStream) -> Iterator[av.AudioFrame]: ...
@overload
def decode_frames(container: InputContainer, stream: av.VideoStream) -> Iterator[av.VideoFrame]: ...
def decode_frames(container: InputContainer, stream: av.AudioStream | av.VideoStream) -> Iterator[Any]:
    """Decodes from the container's position to its end. Skips packets that the decoder rejects.

    Players and the `ffmpeg` program do the same, because tags, padding and damage lie between good packets. Raises the
    first error if no packet could be decoded, and raises at once if a frame exceeds the limits.
    """
    first_error: av.error.FFmpegError | None = None
    found = False
    for packet in read_packets(container, stream):
        try:
            frames = packet.decode()
        except BEYOND_LIMITS:
            raise
        except av.error.FFmpegError as e:  # the base class: some decoders return unknown error numbers
            first_error = first_error or e
            continue
        found = found or bool(frames)
        yield from frames
    if first_error and not found:
        raise first_error


def read_packets(container: InputContainer, stream: av.AudioStream | av.VideoStream) -> Iterator["av.Packet[Any]"]:
    """Yields packets up to the end or the first damage of the container, then an empty one that flushes the decoder."""
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
                raise TooLarge(f"the file declares {count} samples; the limit is {MAX_SAMPLES}")


def _headers(data: bytes) -> Iterator[tuple[int, int]]:
    """Yields (start, end) of each top-level box of an MP4, except the boxes of media data."""
    at = 0
    while at + 8 <= len(data):
        size, kind = int.from_bytes(data[at : at + 4]), data[at + 4 : at + 8]
        if size == 1:
            size = int.from_bytes(data[at + 8 : at + 16])
        end = at + size if size else len(data)
        if kind not in CONTENT:
            yield at, end
        at = max(at + 8, end)
