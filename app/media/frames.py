"""Frames of videos: their times, and any of them decoded."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app.errors import InvalidData, TooLarge
from app.media.limits import Limits

Frames = NDArray[np.uint8]
Times = NDArray[np.float64]
Span = tuple[float, float]  # (start, end) in seconds


class Video(ABC):
    """An open video. Not for several threads at once; any number of videos may be open.

    `times` [M] are the seconds at which each frame appears, from 0 on and increasing; `duration` is when
    the last one goes; `height` and `width` are those of the upright picture.
    """

    times: Times
    duration: float
    height: int
    width: int

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    def read(self, indices: Sequence[int], *, short_side: int | None = None) -> Frames:
        """uint8 RGB [len(indices), H, W, 3], whatever the order of the indices, which may repeat.

        Larger frames are shrunk to `short_side`, keeping their shape; smaller ones stay. Rising indices,
        also from call to call, are decoded once. Raises InvalidData and TooLarge.
        """
        scale = min(1.0, short_side / min(self.height, self.width)) if short_side else 1.0
        height, width = max(1, round(self.height * scale)), max(1, round(self.width * scale))
        if len(indices) * height * width * 3 > self._limits.max_clip_bytes:
            raise TooLarge(
                f"{len(indices)} frames of {width} × {height} pixels are more than "
                f"{self._limits.max_clip_bytes} bytes; ask for fewer or smaller ones"
            )
        out = np.empty((len(indices), height, width, 3), np.uint8)
        asked = np.asarray(indices)
        wanted = sorted(set(indices))
        for index, frame in zip(wanted, self._decode(wanted, height, width), strict=True):
            out[asked == index] = frame
        return out

    @abstractmethod
    def _decode(self, wanted: Sequence[int], height: int, width: int) -> Iterator[Frames]:
        """Each wanted frame, upright and of this size; `wanted` is increasing."""


class Strip(Video):
    """Frames that lie side by side in one picture, as sprites come; each is there for a second.

    Raises InvalidData for a width that is no whole number of frames.
    """

    def __init__(self, picture: Frames, frames: int, limits: Limits) -> None:
        super().__init__(limits)
        if picture.shape[1] % frames:
            raise InvalidData(f"an image {picture.shape[1]} pixels wide is no strip of {frames} frames")
        self._frames = np.split(picture, frames, axis=1)
        self.height, self.width = self._frames[0].shape[:2]
        self.times, self.duration = np.arange(frames, dtype=np.float64), float(frames)

    def _decode(self, wanted: Sequence[int], height: int, width: int) -> Iterator[Frames]:
        for index in wanted:
            frame = Image.fromarray(self._frames[index])
            yield np.asarray(frame.resize((width, height), Image.Resampling.BOX))


def even_indices(times: Times, duration: float, count: int, start: float = 0.0) -> list[int]:
    """The frames on screen in the middles of `count` equal parts of [start, duration).

    Right for every frame rate, also a variable one; frames repeat where there are fewer than asked for.
    """
    moments = start + (np.arange(count) + 0.5) / count * max(0.0, duration - start)
    return _on_screen(times, moments)


def clip_indices(times: Times, duration: float, count: int, span: Span) -> list[int]:
    """`count` frames, evenly spaced in time, of which the first one is that on screen when the span begins.

    They are looked for amid the time that a frame is shown, where no rounding matters.
    """
    step = (span[1] - span[0]) / count
    return _on_screen(times, span[0] + np.arange(count) * step + min(step, duration / len(times)) / 2)


def _on_screen(times: Times, moments: NDArray[Any]) -> list[int]:
    return [int(i) for i in np.clip(np.searchsorted(times, moments, side="right") - 1, 0, len(times) - 1)]


def strided_indices(times: Times, duration: float, count: int, stride: int, start: float = 0.0) -> list[int]:
    """`count` frames, each `stride` after the one before, from the frame on screen at `start`.

    Where too few are left, they are spread evenly over what is left.
    """
    first = max(0, int(np.searchsorted(times, start, side="right")) - 1)
    if first + stride * (count - 1) < len(times):
        return list(range(first, first + stride * (count - 1) + 1, stride))
    return even_indices(times, duration, count, float(times[first]))


def spans(duration: float, length: float, most: int) -> list[Span]:
    """Parts of a video, each of `length` seconds, evenly spread over it; so many that they cover it, or `most`.

    They overlap a little where the duration is no multiple of the length. A shorter video is one part.
    """
    count = min(max(1, math.ceil(duration / length - 0.01)), most)  # a hundredth of one is no reason for another
    starts = np.linspace(0, max(0.0, duration - length), count) if count > 1 else [0.0]
    return [(float(start), min(float(start) + length, duration)) for start in starts]


class FrameCount:
    """Counts the frames of a video as they are found and stops at a limit."""

    def __init__(self, limits: Limits, pixels: int, volume: int) -> None:
        if pixels > limits.max_video_pixels:
            raise TooLarge(f"{pixels} pixels a frame, where {limits.max_video_pixels} are allowed")
        self._most = min(limits.max_video_frames, volume // max(1, pixels))

    def each(self, items: Iterable[float]) -> Iterator[float]:
        for count, item in enumerate(items):
            if count >= self._most:
                raise TooLarge(f"more than {self._most} frames, too many for their size")
            yield item


def checked_times(moments: Sequence[float], last: float, limits: Limits) -> tuple[Times, float]:
    """(times from 0 on, duration) of frames shown at these moments, the last one for `last` seconds."""
    if not moments:
        raise InvalidData("the video holds no frames")
    times = np.asarray(moments, np.float64)
    times -= times[0]
    duration = float(times[-1]) + last
    if duration > limits.max_video_seconds:
        raise TooLarge(f"{duration:.0f} seconds of video, where {limits.max_video_seconds:.0f} are allowed")
    return times, duration
