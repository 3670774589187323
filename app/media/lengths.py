"""How long sounds and videos are, by what their files say: nothing is decoded, and nothing of it is certain."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import av

from app.errors import InvalidData, TooLarge
from app.media.animations import UNTIMED
from app.media.containers import DEMUXERS, open_container
from app.media.images import first_frame, open_image
from app.media.limits import Limits
from app.media.sniff import Kind, reading
from app.types import Modality


@dataclass(frozen=True, slots=True)
class Length:
    seconds: float = 0.0  # 0: it has no duration
    frames: int = 1  # of a video


def sound_length(data: bytes, kind: Kind, limits: Limits) -> Length:
    """Raises InvalidData and TooLarge."""
    return _checked(_coded(data, kind, "audio"), limits.max_audio_seconds)


def video_length(data: bytes, kind: Kind, limits: Limits) -> Length:
    """Raises InvalidData and TooLarge. Of an animation, all frames are taken to be shown as long as the first."""
    found = _coded(data, kind, "video") if kind.name in DEMUXERS else _animated(data, kind)
    return _checked(found, limits.max_video_seconds)


# Modalities whose items have a length, and may give several samples.
LENGTHS: dict[Modality, Callable[[bytes, Kind, Limits], Length]] = {
    Modality.AUDIO: sound_length,
    Modality.VIDEO: video_length,
}


def _checked(found: Length, most: float) -> Length:
    if found.seconds > most:
        raise TooLarge(f"{found.seconds:.0f} seconds, where {most:.0f} are allowed")
    return found


def _coded(data: bytes, kind: Kind, of: Literal["audio", "video"]) -> Length:
    with reading(kind), open_container(data, kind) as container:
        stream = container.streams.best(of)
        if stream is None or stream.time_base is None:
            raise InvalidData(f"the {kind.name} file holds no {of}")
        if stream.duration:
            seconds = float(stream.duration * stream.time_base)
        elif container.duration:
            seconds = container.duration / av.time_base
        else:  # as browsers record: only the last packet tells
            ends = (p.pts + (p.duration or 0) for p in container.demux(stream) if p.pts is not None)
            seconds = float(max(ends, default=0) * stream.time_base)
        if not isinstance(stream, av.VideoStream):
            return Length(seconds)
        return Length(seconds, max(1, stream.frames or round(seconds * float(stream.average_rate or 0))))


def _animated(data: bytes, kind: Kind) -> Length:
    with reading(kind), open_image(data, kind.name.removeprefix("animated ")) as image:
        first = first_frame(image)
        image.seek(first)
        image.load()  # WebP tells the time of a frame only with the frame
        frames = int(getattr(image, "n_frames", 1)) - first
        return Length(frames * (image.info.get("duration", 0) / 1000 or UNTIMED), frames)
