"""What a run on videos trains on: its model and its clips."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from app.media.frames import Frames, Strip, Video
from app.media.images import decode_image
from app.media.limits import DEFAULT_LIMITS
from app.media.video import open_video
from app.objectives.grid_masking import CLIP_SAMPLERS
from app.objectives.video.architectures import IMAGE_MEAN, IMAGE_STD, build_preset, grid_of
from app.objectives.video.load import load_video
from app.objectives.video.objective import VideoObjective
from app.objectives.video.processing import VideoReader
from app.recipes import VideoMaeHyperparameters
from app.recipes.image import kept_size
from app.recipes.video import GEOMETRY, MAX_CLIPS
from app.training.augment import ClipAugment
from app.training.hooks import Hooks
from app.training.job import Material, TrainingJob
from app.training.media import configuration, datasets, material, stored
from app.training.media_shards import Decoding
from app.types import Modality


def prepare(job: TrainingJob, hooks: Hooks, device: torch.device) -> Material:
    """Raises AppErrors for what the user can mend: data, model, hyperparameters."""
    hp = job.hyperparameters
    assert isinstance(hp, VideoMaeHyperparameters)
    objective = _objective(job, hp)
    reader = objective.reader
    decoding = _decoding(reader, kept_size(reader.size, hp.crop), hp.strip_frames)
    data = datasets(job, hp, decoding, objective, hooks, window=reader.num_frames)
    masks = objective.masks
    objective.start_training(
        CLIP_SAMPLERS[hp.mask_strategy or masks.strategy],
        hp.mask_ratio or masks.ratio,
        ClipAugment(reader.size, hp.crop, hp.flip, hp.color_jitter),
        hp.contrast_weight,
    )
    return material(job, hp, objective, data)


def _objective(job: TrainingJob, hp: VideoMaeHyperparameters) -> VideoObjective:
    if isinstance(job.model, Path):
        return stored(job, job.model, hp, load_video)
    config = configuration(job.model, hp)
    stride = config.pop("stride")
    model = build_preset(config | {name: getattr(hp, name) or config[name] for name in GEOMETRY})
    reader = VideoReader(
        grid_of(model), mean=IMAGE_MEAN, std=IMAGE_STD, stride=hp.stride or stride, frame_rate=hp.frame_rate
    )
    return VideoObjective(model, reader, decodes=True, new_head=True)


def _decoding(reader: VideoReader, size: int, strip_frames: int | None) -> Decoding:
    """Clips one after the other, a row a frame: the square in the middle of each, brought to `size`."""
    whole = replace(reader, squeeze=False, share=1.0)
    # All of a video's clips are in memory at once.
    most = min(MAX_CLIPS, DEFAULT_LIMITS.clips_at_once(reader.num_frames, size))

    def clips(video: Video, seen: VideoReader) -> Frames:
        source = seen.source(video.width, video.height)
        return np.concatenate([seen.clip(video, span, size, source) for span in seen.spans(video, most)])

    def decode(data: bytes) -> Frames:
        with open_video(data) as video:
            return clips(video, whole)

    def decode_strip(data: bytes) -> Frames:
        return clips(Strip(decode_image(data), strip_frames or 1, DEFAULT_LIMITS), replace(whole, frame_rate=None))

    settings = (reader.num_frames, reader.stride, reader.frame_rate, size, reader.resample, strip_frames, most)
    name = " ".join(map(str, ("clips", *settings)))
    kind, read = (Modality.IMAGE, decode_strip) if strip_frames else (Modality.VIDEO, decode)
    return Decoding(kind, name, (size, size, 3), "uint8", read)
