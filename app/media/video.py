"""Video: bytes ↔ uint8 arrays. Memory holds only the requested frames."""

import io
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from av.sidedata.sidedata import Type as SideDataType
from av.video.reformatter import Interpolation

from app.errors import InvalidData, TooLarge
from app.media.animations import Animation
from app.media.containers import DEMUXERS, decode_frames, open_container, read_packets
from app.media.frames import (
    FrameCount,
    Frames,
    Times,
    Video,
    check_times,
    even_indices,
    strided_indices,
)
from app.media.limits import DEFAULT_LIMITS, Limits
from app.media.orientation import Orientation, from_display_matrix
from app.media.sniff import Kind, decoder_errors, expect
from app.types import ModalityName

BEGINNING = -(2**40)  # a time before every frame; seeking to it goes to the first frame
MP4_CODEC = "libx264" if "libx264" in av.codecs_available else "mpeg4"


@dataclass(frozen=True, slots=True)
class Clip:
    """Frames [T, H, W, 3] uint8 RGB, and the seconds [T] at which they appear."""

    frames: Frames
    times: Times


def decode_video(
    data: bytes,
    *,
    frames: int,
    stride: int | None = None,
    start: float = 0.0,
    short_side: int | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> Clip:
    """Decodes a clip of exactly `frames` frames from `start` (seconds): every `stride`-th, or evenly spread.

    `even_indices` and `strided_indices` describe short videos, `Video.read` describes `short_side`. Raises InvalidData
    and TooLarge.
    """
    with open_video(data, limits=limits) as video:
        if stride is None:
            indices = even_indices(video.times, video.duration, frames, start)
        else:
            indices = strided_indices(video.times, video.duration, frames, stride, start)
        return Clip(video.read(indices, short_side=short_side), video.times[indices])


@contextmanager
def open_video(data: bytes, *, limits: Limits = DEFAULT_LIMITS) -> Iterator[Video]:
    """Opens a video, to inspect its times and to read several clips. Raises InvalidData and TooLarge."""
    kind = expect(data, ModalityName.VIDEO, limits)
    if kind.name not in DEMUXERS:
        animation = Animation(data, kind, limits)
        try:
            yield animation
        finally:
            animation.close()
        return
    with open_container(data, kind) as container:
        yield _EncodedVideo(container, kind, len(data), limits)


def encode_mp4(frames: Frames, *, fps: float, crf: int = 18) -> bytes:
    """Encodes uint8 [T, H, W, 1 or 3] as MP4: H.264 in yuv420p, which all browsers play, or MPEG-4 without x264.

    An odd height or width repeats its last row or column, because yuv420p halves the resolution of colours.
    """
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] not in (1, 3) or not len(frames):
        raise ValueError(f"expected uint8 [T, H, W, 1 or 3], got {frames.dtype} {frames.shape}")
    height, width = (size + size % 2 for size in frames.shape[1:3])
    out = io.BytesIO()
    with av.open(out, mode="w", format="mp4") as container:
        rate = Fraction(fps).limit_denominator(1001)
        # x264's macroblock tree reads memory outside small frames, so equal frames would give different files.
        options = {"crf": str(crf), "x264-params": "mbtree=0"}
        stream = container.add_stream(MP4_CODEC, rate=rate, options=options)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.thread_count = 1
        for frame in frames:
            rows, columns = height - frame.shape[0], width - frame.shape[1]
            padded = np.pad(frame, ((0, rows), (0, columns), (0, 0)), mode="edge")
            colours = np.ascontiguousarray(np.broadcast_to(padded, (height, width, 3)))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(colours, format="rgb24")))
        container.mux(stream.encode())
    return out.getvalue()


class _EncodedVideo(Video):
    """A video that FFmpeg decodes. Opening it lists the packets, because headers may be wrong; this is cheap."""

    def __init__(self, container: InputContainer, kind: Kind, length: int, limits: Limits) -> None:
        super().__init__(limits)
        self._container, self._kind, self._length = container, kind, length
        stream = container.streams.best("video")
        if not isinstance(stream, av.VideoStream) or stream.codec_context is None or stream.time_base is None:
            raise InvalidData(f"the {kind.name} file contains no video that can be decoded")
        if len(stream.index_entries) > limits.max_video_frames:  # a seek in an absurd index takes hours
            raise TooLarge(f"the video has more than {limits.max_video_frames} frames")
        self._stream, self._base = stream, stream.time_base
        stream.codec_context.thread_count = 1  # requests and loaders already run in parallel
        # The decoder refuses larger frames, whatever the container's header says.
        stream.codec_context.options = {"max_pixels": str(limits.max_video_pixels)}
        self._requested = BEGINNING  # the last requested moment
        self._held: av.VideoFrame | None = None  # the last frame decoded since a seek
        self._coming: Iterator[av.VideoFrame] = iter(())
        with decoder_errors(kind):
            self._list_packets(limits)
            first = self._decode_at(self._shown[0])
        matrix: Any = first.side_data.get(SideDataType.DISPLAYMATRIX)  # type: ignore[call-overload]
        self._orientation = from_display_matrix(matrix) if matrix else Orientation()
        self.height, self.width = _display_size(first, stream.sample_aspect_ratio, limits)
        if self._orientation.transpose:
            self.height, self.width = self.width, self.height

    def _list_packets(self, limits: Limits) -> None:
        context = self._stream.codec_context
        count = FrameCount(limits, context.width * context.height, limits.max_video_volume)
        keys: list[int] = []
        decoded: list[int] = []  # when each packet is decoded
        last = (0, 0)  # when the last frame appears and for how long

        def moments() -> Iterator[int]:
            nonlocal last
            for packet in read_packets(self._container, self._stream):
                shown = packet.pts if packet.pts is not None else packet.dts
                if shown is None:
                    continue  # the end of the stream
                if packet.dts is not None:
                    decoded.append(packet.dts)
                if packet.is_keyframe:
                    keys.append(shown)
                if packet.is_discard:
                    continue  # hidden by an edit list; later frames need it for decoding
                last = max(last, (shown, packet.duration or 0))
                yield shown

        self._shown = sorted({int(moment) for moment in count.each(moments())})
        # An edit list may reorder parts, and FFmpeg cannot seek in those.
        self._keys = sorted(keys) if decoded == sorted(decoded) else [BEGINNING]
        self._check_index()
        seconds = [float(moment * self._base) for moment in self._shown]
        self.times, self.duration = check_times(seconds, float(last[1] * self._base), limits)

    def _check_index(self) -> None:
        """Raises InvalidData if the index of an MP4 lists frames after the end of the file."""
        if DEMUXERS[self._kind.name] != "mp4":
            return
        entries = self._stream.index_entries
        missing = sum(entry.pos + entry.size > self._length for entry in entries)
        if missing > 0.05 * len(entries) + 1:
            found = len(entries) - missing
            raise InvalidData(f"the {self._kind.name} file is cut off: it has {found} of {len(entries)} frames")

    def _decode(self, wanted: Sequence[int], height: int, width: int) -> Iterator[Frames]:
        if self._orientation.transpose:
            height, width = width, height
        for index in wanted:
            with decoder_errors(self._kind):
                pixels = self._decode_at(self._shown[index]).to_ndarray(
                    format="rgb24", width=width, height=height, interpolation=Interpolation.AREA, threads=1
                )
            yield self._orientation.upright(np.asarray(pixels, np.uint8))

    def _decode_at(self, moment: int) -> av.VideoFrame:
        """Decodes the first frame at or after a moment. Seeks to go back, or past a key frame.

        If that frame is damaged, returns the last one before it, as a player does.
        """
        at = self._held.pts if self._held else None
        if self._held and at is not None and self._requested <= moment <= at:
            return self._held  # the frames in between are damaged
        nearest = bisect_right(self._keys, moment) - 1
        key = self._keys[max(0, nearest)] if self._keys else moment
        if at is None or at >= moment or key > at:
            self._container.seek(key, stream=self._stream)
            self._coming = decode_frames(self._container, self._stream)
            self._held = None
        self._requested = moment
        for frame in self._coming:
            if frame.width * frame.height > self._limits.max_video_pixels:
                raise TooLarge(
                    f"a frame has {frame.width} × {frame.height} pixels; the limit is {self._limits.max_video_pixels}"
                )
            self._held = frame
            if frame.pts is not None and frame.pts >= moment:
                return frame
        if self._held is None:
            raise InvalidData(f"the {self._kind.name} file is broken or cut off at {float(moment * self._base):.2f} s")
        return self._held


def _display_size(frame: av.VideoFrame, aspect: Fraction | None, limits: Limits) -> tuple[int, int]:
    """Returns (height, width) in square pixels, scaling one side up. `aspect` is a pixel's width ÷ height."""
    height, width = frame.height, frame.width
    if aspect and aspect > 1:
        width = round(width * aspect)
    elif aspect and aspect > 0:
        height = round(height / aspect)
    if height * width > limits.max_video_pixels:
        raise TooLarge(f"a frame has {width} × {height} pixels; the limit is {limits.max_video_pixels}")
    return height, width
