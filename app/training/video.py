"""What a run on videos trains on: its model and its clips."""

from pathlib import Path

import torch

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
from app.training.media_decoding import video_decoding


def prepare(job: TrainingJob, hooks: Hooks, device: torch.device) -> Material:
    """Raises AppErrors for what the user can mend: data, model, hyperparameters."""
    hp = job.hyperparameters
    assert isinstance(hp, VideoMaeHyperparameters)
    objective = _objective(job, hp)
    reader = objective.reader
    decoding = video_decoding(reader, kept_size(reader.size, hp.crop), hp.strip_frames, MAX_CLIPS)
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
