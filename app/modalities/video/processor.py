"""From a video file to the clips that a model sees."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app.errors import InvalidModel, InvalidValue
from app.media.frames import Frames, Span, Video, clip_indices, spans
from app.media.images import Pixels
from app.media.panels import clip_panels
from app.media.video import encode_mp4, open_video
from app.modalities.patch.decoded_media import DecodedMedia
from app.modalities.patch.grid import PatchGrid
from app.modalities.patch.resize_crop import FILE, ResizeCrop, Source, read_processor, resize
from app.modalities.reconstruction import MaskRequest, touched
from app.modalities.video.geometry import STRIDE

MAX_WINDOWS = 16  # of a longer video so many clips are seen, spread evenly over it
MAX_RATE = 1000.0  # frames a second of what is rendered; the times of a file's own may lie arbitrarily close
SHARPNESS = 2  # large frames are decoded at up to so many times the size that they are seen at


@dataclass(frozen=True)
class Footage:
    """Facts about a video: duration in seconds, fps of the clips as the model sees them."""

    source: Source
    duration: float
    fps: float


@dataclass(frozen=True)
class VideoProcessor(ResizeCrop):
    """The Processor of videos. A clip has `grid.sizes[0]` frames, evenly spaced in time whatever a file's frame rate.

    stride: how many of the video's own frames there are from one to the next, at its mean frame rate; or,
    with frame_rate (frames a second), if the video had that one.
    """

    stride: int = STRIDE
    frame_rate: float | None = None

    @property
    def num_frames(self) -> int:
        return self.grid.sizes[0]

    def spans(self, video: Video, most: int) -> list[Span]:
        """When the clips of a video begin and end, in seconds; together they cover it, if `most` are enough."""
        rate = self.frame_rate or (len(video.times) / video.duration if video.duration else 1.0)
        return spans(video.duration, self.num_frames * self.stride / rate, most)

    def read(self, content: bytes) -> DecodedMedia:
        with open_video(content) as video:
            source = self.source(video.width, video.height)
            clips = self.spans(video, MAX_WINDOWS)
            windows = [self.seen(video, clip, source) for clip in clips]
            start, end = clips[0]
            rate = self.num_frames / (end - start) if end > start else 1.0
            footage = Footage(source, video.duration, min(rate, MAX_RATE))
        return DecodedMedia(np.stack(windows), info=footage, times=tuple(clips))

    def seen(self, video: Video, span: Span, source: Source) -> NDArray[np.float32]:
        """The model's view of a span: [T, size, size, 3] in [0, 1]"""
        return self.clip(video, span, self.size, source).astype(np.float32) / np.float32(255)

    def clip(self, video: Video, span: Span, size: int, source: Source) -> Frames:
        """The frames on screen in the span, as the model's square in `size`: [T, size, size, 3]."""
        indices = clip_indices(video.times, video.duration, self.num_frames, span)
        frames = video.read(indices, short_side=round(SHARPNESS * size / self.share))
        scale = np.array([frames.shape[2] / source.width, frames.shape[1] / source.height] * 2)
        left, top, right, bottom = (scale * source.box).tolist()
        return np.stack([resize(frame, size, (left, top, right, bottom), self.resample) for frame in frames])

    def place(self, request: MaskRequest, given: DecodedMedia) -> NDArray[np.bool_]:
        footage: Footage = given.info
        area = self.boxed(request, footage.source) if request.boxes else np.ones(self.grid.shape[1:], bool)
        moments = self._moments(request, footage, given.times or ())
        return moments[..., None, None] & area

    def _moments(self, request: MaskRequest, footage: Footage, clips: Sequence[Span]) -> NDArray[np.bool_]:
        """The patches in time that the ranges touch, [W, T']; without any, all of them."""
        moments = np.full((len(clips), self.grid.shape[0]), not request.ranges)
        for start, end in request.ranges:
            if not 0 <= start < end <= footage.duration:
                raise InvalidValue(
                    f"the range ({start:g}, {end:g}) is not (start, end) within the video's"
                    f" {footage.duration:g} seconds",
                    param="ranges",
                )
            for window, (first, last) in enumerate(clips):
                moments[window, touched(start - first, end - first, self.grid.shape[0], last - first)] = True
        return moments

    def panels(self, original: NDArray[np.float32], mask: NDArray[np.bool_], predicted: NDArray[np.float32]) -> Pixels:
        return clip_panels(original, mask, predicted)

    def example(self) -> bytes:
        return encode_mp4(np.zeros((*self.grid.sizes, 3), np.uint8), fps=self.num_frames)

    def save(self, folder: Path) -> None:
        """In the form that AutoImageProcessor of transformers reads, too, but for the two fields of its own."""
        content = {"image_processor_type": "VideoMAEImageProcessor"} | self.to_config()
        content |= {"frame_stride": self.stride, "frame_rate": self.frame_rate}
        (folder / FILE).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def load_processor(folder: Path, grid: PatchGrid) -> VideoProcessor:
    """By the folder's processor file, or as VideoMAEImageProcessor does without one. Raises InvalidModel."""
    found = read_processor(folder, grid)
    if found is None:
        return VideoProcessor(grid, resample=Image.Resampling.BILINEAR)
    config, framing = found
    return VideoProcessor(grid, **framing, **read_sampling(config))


def read_sampling(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns `stride` and `frame_rate` by a processor file. Raises InvalidModel."""
    stride, rate = config.get("frame_stride", STRIDE), config.get("frame_rate")
    if not (isinstance(stride, int) and isinstance(rate, int | float | None) and stride > 0 and (rate or 1) > 0):
        raise InvalidModel(f"{FILE}: frame_stride {stride!r} and frame_rate {rate!r} should be positive numbers")
    return {"stride": stride, "frame_rate": rate}
