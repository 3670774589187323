"""Videos as training stores them."""

from dataclasses import replace
from functools import partial

import numpy as np

from app.media.accepted import IMAGES, VIDEOS
from app.media.frames import Frames, Strip, Video
from app.media.images import decode_image
from app.media.limits import DEFAULT_LIMITS
from app.media.video import open_video
from app.modalities.patch.decoding import Decoding
from app.modalities.patch.geometry import Geometry
from app.modalities.video.geometry import most_clips
from app.modalities.video.processor import VideoProcessor


def video_decoding(geometry: Geometry, processor: VideoProcessor, strip_frames: int | None = None) -> Decoding:
    """Clips one after the other, a row a frame: the square in the middle of each, brought to the stored size.

    strip_frames: items are images, strips of so many frames side by side.
    """
    whole = replace(processor, squeeze=False, share=1.0)
    size = geometry.row_shape[0]
    most = most_clips(processor.num_frames, size)
    settings = (
        processor.num_frames,
        processor.stride,
        processor.frame_rate,
        size,
        processor.resample,
        strip_frames,
        most,
    )
    name = " ".join(map(str, ("clips", *settings)))
    if strip_frames:
        strip = partial(_strip, replace(whole, frame_rate=None), size=size, most=most, count=strip_frames)
        return Decoding(IMAGES, name, geometry.row_shape, geometry.dtype, strip)
    film = partial(_film, whole, size=size, most=most)
    return Decoding(VIDEOS, name, geometry.row_shape, geometry.dtype, film)


def _film(processor: VideoProcessor, data: bytes, *, size: int, most: int) -> Frames:
    with open_video(data) as video:
        return _clips(processor, video, size, most)


def _strip(processor: VideoProcessor, data: bytes, *, size: int, most: int, count: int) -> Frames:
    return _clips(processor, Strip(decode_image(data), count, DEFAULT_LIMITS), size, most)


def _clips(processor: VideoProcessor, video: Video, size: int, most: int) -> Frames:
    source = processor.source(video.width, video.height)
    return np.concatenate([processor.clip(video, span, size, source) for span in processor.spans(video, most)])
