"""How items of each modality are decoded for training. No torch: it happens in child processes."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from app.errors import InvalidData
from app.media.frames import Frames, Strip, Video
from app.media.images import Pixels, decode_image
from app.media.limits import DEFAULT_LIMITS
from app.media.video import open_video
from app.modalities.audio.mel import CEILING, FLOOR, Floats
from app.modalities.audio.processor import AudioProcessor
from app.modalities.patch.resize_crop import resize
from app.modalities.video.processor import VideoProcessor
from app.types import Modality

DecodedRows = NDArray[Any]


@dataclass(frozen=True)
class Decoding:
    """How items become rows: bytes → [n, *shape] of `dtype`, n > 0; raises AppErrors for what is broken.

    `name` tells apart all settings that the result depends on. `decode` can be pickled.
    """

    modality: Modality
    name: str
    shape: tuple[int, ...]
    dtype: str
    decode: Callable[[bytes], DecodedRows]

    def __call__(self, data: bytes) -> DecodedRows:
        return np.ascontiguousarray(self.decode(data), dtype=self.dtype)


def image_decoding(size: int, channels: int) -> Decoding:
    """The square in the middle of each image, brought to `size`."""
    decode = partial(_square, size=size, channels=channels)
    return Decoding(Modality.IMAGE, f"square {size} {channels}", (size, size, channels), "uint8", decode)


def _square(data: bytes, *, size: int, channels: int) -> Pixels:
    pixels = decode_image(data, channels=cast(Literal[1, 3], channels))
    height, width = pixels.shape[:2]
    side = min(height, width)
    left, top = (width - side) / 2, (height - side) / 2
    return resize(pixels, size, (left, top, left + side, top + side))[None]


def audio_decoding(reader: AudioProcessor) -> Decoding:
    """Levels, a row a frame; those of a sound that is silent throughout teach nothing and are refused."""
    decode = partial(_levels, reader)
    return Decoding(Modality.AUDIO, f"{reader.mel} {FLOOR} {CEILING}", (reader.mel.n_mels,), "float16", decode)


def _levels(reader: AudioProcessor, data: bytes) -> Floats:
    levels = reader.levels(data)
    if not levels.any():
        raise InvalidData("the sound is silent throughout")
    return levels


def video_decoding(reader: VideoProcessor, size: int, strip_frames: int | None, max_clips: int) -> Decoding:
    """Clips one after the other, a row a frame: the square in the middle of each, brought to `size`.

    strip_frames: items are images, strips of so many frames side by side. max_clips: of one item.
    """
    whole = replace(reader, squeeze=False, share=1.0)
    # All of a video's clips are in memory at once.
    most = min(max_clips, DEFAULT_LIMITS.clips_at_once(reader.num_frames, size))
    settings = (reader.num_frames, reader.stride, reader.frame_rate, size, reader.resample, strip_frames, most)
    name = " ".join(map(str, ("clips", *settings)))
    if strip_frames:
        decode = partial(_strip, replace(whole, frame_rate=None), size=size, most=most, count=strip_frames)
        return Decoding(Modality.IMAGE, name, (size, size, 3), "uint8", decode)
    return Decoding(Modality.VIDEO, name, (size, size, 3), "uint8", partial(_film, whole, size=size, most=most))


def _film(reader: VideoProcessor, data: bytes, *, size: int, most: int) -> Frames:
    with open_video(data) as video:
        return _clips(reader, video, size, most)


def _strip(reader: VideoProcessor, data: bytes, *, size: int, most: int, count: int) -> Frames:
    return _clips(reader, Strip(decode_image(data), count, DEFAULT_LIMITS), size, most)


def _clips(reader: VideoProcessor, video: Video, size: int, most: int) -> Frames:
    source = reader.source(video.width, video.height)
    return np.concatenate([reader.clip(video, span, size, source) for span in reader.spans(video, most)])
