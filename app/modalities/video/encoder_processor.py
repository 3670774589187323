"""From a video file to the clips that an encoder of transformers sees: the numbers of transformers' own processor."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Resampling

from app.errors import InvalidModel
from app.media.frames import Span, Video, clip_indices
from app.modalities.image.encoder_processor import EncoderProcessor, ProcessorDefaults, parse_processor
from app.modalities.model_files import read_json
from app.modalities.patch.grid import PatchGrid
from app.modalities.patch.resize_crop import FILE, Source
from app.modalities.video.architectures import IMAGE_MEAN, IMAGE_STD
from app.modalities.video.processor import SHARPNESS, VideoProcessor, read_sampling

_VIDEO_FILE, _WHOLE_FILE = "video_preprocessor_config.json", "processor_config.json"
_HALF = (0.5, 0.5, 0.5)
_SHORTEST = {"shortest_edge": 224}

VIDEO_PROCESSORS: dict[str, ProcessorDefaults] = {
    "Timesformer": ProcessorDefaults(_SHORTEST, Resampling.BILINEAR, IMAGE_MEAN, IMAGE_STD, crops=True, square=False),
    "VideoMAE": ProcessorDefaults(_SHORTEST, Resampling.BILINEAR, _HALF, _HALF, crops=True, square=False),
    "VJEPA2": ProcessorDefaults(
        {"shortest_edge": 292},
        Resampling.BILINEAR,
        IMAGE_MEAN,
        IMAGE_STD,
        crops=True,
        square=False,
        crop=256,
        resizes_by_crop=True,
    ),
    "Vivit": ProcessorDefaults(
        {"shortest_edge": 256}, Resampling.BILINEAR, _HALF, _HALF, crops=True, square=False, signed=True
    ),
}


@dataclass(frozen=True)
class VideoEncoderProcessor(VideoProcessor):
    """The Processor of encoders' videos. pictures: how each frame is prepared."""

    pictures: EncoderProcessor = field(kw_only=True)

    def source(self, width: int, height: int) -> Source:
        return self.pictures.source(width, height)

    def seen(self, video: Video, span: Span, source: Source) -> NDArray[np.float32]:
        indices = clip_indices(video.times, video.duration, self.num_frames, span)
        side = min(self.pictures.resized_sides(video.width, video.height))
        frames = video.read(indices, short_side=SHARPNESS * side)
        return np.stack([self.pictures.prepare(frame) for frame in frames])


def load_video_processor(folder: Path, fallback: str, grid: PatchGrid) -> VideoEncoderProcessor:
    """Reads the folder's processor file. fallback: the class where the file names none.

    Raises InvalidModel for a missing file, for a step that is not supported, and for frames of another size than the
    model reads.
    """
    config = _read_config(folder)

    def frame_grid(side: int) -> PatchGrid:
        if side != grid.sizes[1]:
            raise InvalidModel(f"the processor gives frames of {side} pixels, and the model reads {grid.sizes[1]}")
        return PatchGrid(grid.sizes[1:], grid.patch[1:], grid.channels)

    pictures = parse_processor(config, VIDEO_PROCESSORS, fallback, frame_grid)
    return VideoEncoderProcessor(grid, mean=pictures.mean, std=pictures.std, pictures=pictures, **read_sampling(config))


def _read_config(folder: Path) -> Mapping[str, Any]:
    """The settings of the video processor, in the order in which transformers 5 looks for them."""
    whole = read_json(folder / _WHOLE_FILE) if (folder / _WHOLE_FILE).is_file() else {}
    config = whole.get("video_processor") if isinstance(whole, dict) else None
    for name in (_VIDEO_FILE, FILE):
        if config is None and (folder / name).is_file():
            config = read_json(folder / name)
    if not isinstance(config, dict):
        raise InvalidModel(
            f"the model folder has no {_VIDEO_FILE} and no {FILE}, so it is not known how its frames are prepared"
        )
    return config
