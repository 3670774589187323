"""Frames of videos: their times, their selection, and the interface of an open video."""

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
    """An open video. Not thread-safe; several videos may be open at once.

    times: [M] the seconds at which each frame appears, increasing from 0.
    duration: the second at which the last frame ends.
    height, width: the size of the upright frame in pixels.
    """

    times: Times
    duration: float
    height: int
    width: int

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    def read(self, indices: Sequence[int], *, short_side: int | None = None) -> Frames:
        """Decodes frames to uint8 RGB [len(indices), H, W, 3]. The indices may repeat and have any order.

        Frames with a longer short side are scaled down to `short_side`. Indices that increase, also from call to call,
        need one pass over the file. Raises InvalidData and TooLarge.
        """
        scale = min(1.0, short_side / min(self.height, self.width)) if short_side else 1.0
        height, width = max(1, round(self.height * scale)), max(1, round(self.width * scale))
        if len(indices) * height * width * 3 > self._limits.max_clip_bytes:
            raise TooLarge(
                f"{len(indices)} frames of {width} × {height} pixels are more than "
                f"{self._limits.max_clip_bytes} bytes; request fewer or smaller ones"
            )
        out = np.empty((len(indices), height, width, 3), np.uint8)
        asked = np.asarray(indices)
        wanted = sorted(set(indices))
        for index, frame in zip(wanted, self._decode(wanted, height, width), strict=True):
            out[asked == index] = frame
        return out

    @abstractmethod
    def _decode(self, wanted: Sequence[int], height: int, width: int) -> Iterator[Frames]:
        """Yields each wanted frame, upright and scaled to (height, width). `wanted` is increasing."""


class Strip(Video):
    """A video whose frames lie side by side in one image, like sprites. Each frame lasts a second.

    Raises InvalidData if the width is not a multiple of the number of frames.
    """

    def __init__(self, picture: Frames, frames: int, limits: Limits) -> None:
        super().__init__(limits)
        if picture.shape[1] % frames:
            raise InvalidData(f"an image {picture.shape[1]} pixels wide is not a strip of {frames} frames")
        self._frames = np.split(picture, frames, axis=1)
        self.height, self.width = self._frames[0].shape[:2]
        self.times, self.duration = np.arange(frames, dtype=np.float64), float(frames)

    def _decode(self, wanted: Sequence[int], height: int, width: int) -> Iterator[Frames]:
        for index in wanted:
            frame = Image.fromarray(self._frames[index])
            yield np.asarray(frame.resize((width, height), Image.Resampling.BOX))


def even_indices(times: Times, duration: float, count: int, start: float = 0.0) -> list[int]:
    """Returns the frames shown at the middles of `count` equal parts of [start, duration).

    Works for constant and variable frame rates. Frames repeat if there are fewer than `count`.
    """
    moments = start + (np.arange(count) + 0.5) / count * max(0.0, duration - start)
    return _find_shown(times, moments)


def clip_indices(times: Times, duration: float, count: int, span: Span) -> list[int]:
    """Returns `count` frames, evenly spaced in time, starting with the frame shown at the start of the span.

    The moments lie in the middle of a frame's duration, where rounding does not matter.
    """
    step = (span[1] - span[0]) / count
    return _find_shown(times, span[0] + np.arange(count) * step + min(step, duration / len(times)) / 2)


def _find_shown(times: Times, moments: NDArray[Any]) -> list[int]:
    """Returns the index of the frame shown at each moment."""
    return [int(i) for i in np.clip(np.searchsorted(times, moments, side="right") - 1, 0, len(times) - 1)]


def strided_indices(times: Times, duration: float, count: int, stride: int, start: float = 0.0) -> list[int]:
    """Returns every `stride`-th frame, `count` in all, from the frame shown at `start`.

    If too few frames remain, the indices are spread evenly over the rest of the video.
    """
    first = max(0, int(np.searchsorted(times, start, side="right")) - 1)
    if first + stride * (count - 1) < len(times):
        return list(range(first, first + stride * (count - 1) + 1, stride))
    return even_indices(times, duration, count, float(times[first]))


def spans(duration: float, length: float, most: int) -> list[Span]:
    """Splits a video into at most `most` evenly spread spans of `length` seconds.

    Enough spans cover the video; they overlap a little if the duration is not a multiple of the length. A video shorter
    than `length` is one span.
    """
    count = min(max(1, math.ceil(duration / length - 0.01)), most)  # a rest below 1 % needs no further span
    starts = np.linspace(0, max(0.0, duration - length), count) if count > 1 else [0.0]
    return [(float(start), min(float(start) + length, duration)) for start in starts]


class FrameCount:
    """Limits the number of frames of a video while they are found. `volume` is the limit of pixels × frames."""

    def __init__(self, limits: Limits, pixels: int, volume: int) -> None:
        if pixels > limits.max_video_pixels:
            raise TooLarge(f"a frame has {pixels} pixels; the limit is {limits.max_video_pixels}")
        self._most = min(limits.max_video_frames, volume // max(1, pixels))

    def each(self, items: Iterable[float]) -> Iterator[float]:
        for count, item in enumerate(items):
            if count >= self._most:
                raise TooLarge(f"the video has more than {self._most} frames, the limit for frames of this size")
            yield item


def check_times(moments: Sequence[float], last: float, limits: Limits) -> tuple[Times, float]:
    """Returns (times shifted to start at 0, duration) of frames shown at `moments`, the last for `last` seconds.

    Raises InvalidData for a video without frames, and TooLarge.
    """
    if not moments:
        raise InvalidData("the video contains no frames")
    times = np.asarray(moments, np.float64)
    times -= times[0]
    duration = float(times[-1]) + last
    if duration > limits.max_video_seconds:
        raise TooLarge(f"the video is {duration:.0f} seconds long; the limit is {limits.max_video_seconds:.0f} seconds")
    return times, duration
