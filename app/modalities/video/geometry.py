"""Masks, patches and stored frames of videos."""

import math
from collections.abc import Mapping
from typing import Any

from app.media.lengths import Length
from app.media.limits import DEFAULT_LIMITS
from app.methods.video import GEOMETRY, VideoMaeHyperparameters
from app.modalities.patch.geometry import Geometry, kept_size
from app.modalities.patch.grid import PatchGrid
from app.modalities.patch.masking import CLIP_SAMPLERS, MaskDefaults

# VideoMAE (arXiv 2203.12602), section 3.3
MASKS = MaskDefaults("tube", 0.9, CLIP_SAMPLERS, eval_strategy="tube", eval_ratio=0.9)
STRIDE = 4  # where a folder does not say; VideoMAE's on Kinetics
MAX_CLIPS = 64  # that training takes of one video; a longer one gives so many, spread evenly over it
_WHOLE = 0.01  # of a clip: what a video is longer by than whole clips gives none of its own


def video_geometry(config: Mapping[str, Any], hp: VideoMaeHyperparameters) -> Geometry:
    """A row is a frame of a clip, in uint8 [S, S, 3]."""
    size, patch, frames, tubelet = (getattr(hp, name) or int(config[name]) for name in GEOMETRY)
    stride = hp.stride or config.get("stride") or config.get("frame_stride") or STRIDE
    rate = None if hp.strip_frames else hp.frame_rate or config.get("frame_rate")
    kept = kept_size(size, hp.crop)

    def rows(length: Length) -> int:
        shown = hp.strip_frames or (length.seconds * rate if rate else length.frames)
        clips = math.ceil(shown / (frames * stride) - _WHOLE)
        return frames * min(max(1, clips), most_clips(frames, kept))

    grid = PatchGrid((frames, size, size), (tubelet, patch, patch), 3)
    return Geometry(grid, MASKS.of_model(config), (kept, kept, 3), "uint8", frames, rows)


def most_clips(frames: int, size: int) -> int:
    """The clips of `frames` in `size` that training takes of one video: all of them are in memory at once."""
    return min(MAX_CLIPS, DEFAULT_LIMITS.clips_at_once(frames, size))
