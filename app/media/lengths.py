"""Lengths of sounds and videos as their headers state them. Nothing is decoded, so a length may be wrong."""

from dataclasses import dataclass
from typing import Literal

import av

from app.errors import InvalidData, TooLarge
from app.media.animations import UNTIMED
from app.media.containers import DEMUXERS, open_container
from app.media.images import first_frame, open_image
from app.media.limits import Limits
from app.media.sniff import Kind, decoder_errors, expect
from app.types import ModalityName


@dataclass(frozen=True, slots=True)
class Length:
    """The length of a media file."""

    seconds: float = 0.0  # 0: the item has no duration
    frames: int = 1  # of a video


def sound_length(data: bytes, limits: Limits) -> Length:
    """Reads the length of a sound. Raises InvalidData and TooLarge."""
    kind = expect(data, ModalityName.AUDIO, limits)
    return _check_length(_read_stream(data, kind, "audio"), limits.max_audio_seconds)


def video_length(data: bytes, limits: Limits) -> Length:
    """Reads the length of a video. Assumes that all frames of an animation last as long as the first.

    Raises InvalidData and TooLarge.
    """
    kind = expect(data, ModalityName.VIDEO, limits)
    length = _read_stream(data, kind, "video") if kind.name in DEMUXERS else _read_animation(data, kind)
    return _check_length(length, limits.max_video_seconds)


def _check_length(length: Length, most: float) -> Length:
    if length.seconds > most:
        raise TooLarge(f"it is {length.seconds:.0f} seconds long; the limit is {most:.0f} seconds")
    return length


def _read_stream(data: bytes, kind: Kind, of: Literal["audio", "video"]) -> Length:
    with decoder_errors(kind), open_container(data, kind) as container:
        stream = container.streams.best(of)
        if stream is None or stream.time_base is None:
            raise InvalidData(f"the {kind.name} file contains no {of}")
        if stream.duration:
            seconds = float(stream.duration * stream.time_base)
        elif container.duration:
            seconds = container.duration / av.time_base
        else:  # browsers record files without a duration; the last packet has it
            ends = (p.pts + (p.duration or 0) for p in container.demux(stream) if p.pts is not None)
            seconds = float(max(ends, default=0) * stream.time_base)
        if not isinstance(stream, av.VideoStream):
            return Length(seconds)
        return Length(seconds, max(1, stream.frames or round(seconds * float(stream.average_rate or 0))))


def _read_animation(data: bytes, kind: Kind) -> Length:
    with decoder_errors(kind), open_image(data, kind.name.removeprefix("animated ")) as image:
        first = first_frame(image)
        image.seek(first)
        image.load()  # WebP has the duration of a frame only once it is decoded
        frames = int(getattr(image, "n_frames", 1)) - first
        return Length(frames * (image.info.get("duration", 0) / 1000 or UNTIMED), frames)
