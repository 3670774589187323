"""Models and clips of runs on videos."""

from pathlib import Path

import torch

from app.methods import VideoMaeHyperparameters
from app.methods.image import kept_size
from app.methods.video import GEOMETRY, MAX_CLIPS
from app.modalities.patch.masking import CLIP_SAMPLERS
from app.modalities.video.architectures import IMAGE_MEAN, IMAGE_STD, build_preset, grid_of
from app.modalities.video.load import load_video
from app.modalities.video.objective import VideoObjective
from app.modalities.video.processor import VideoProcessor
from app.training.data.augment import ClipAugment
from app.training.data.media_decoding import video_decoding
from app.training.hooks import Hooks
from app.training.job import PreparedRun, TrainingJob
from app.training.media import build_run, configure_preset, load_stored, make_datasets


def prepare(job: TrainingJob, hooks: Hooks, device: torch.device) -> PreparedRun:
    """Raises AppErrors for what the user can mend: data, model, hyperparameters."""
    hp = job.hyperparameters
    assert isinstance(hp, VideoMaeHyperparameters)
    objective = _objective(job, hp)
    reader = objective.reader
    decoding = video_decoding(reader, kept_size(reader.size, hp.crop), hp.strip_frames, MAX_CLIPS)
    data = make_datasets(job, hp, decoding, objective, hooks, window=reader.num_frames)
    masks = objective.masks
    objective.start_training(
        CLIP_SAMPLERS[hp.mask_strategy or masks.strategy],
        hp.mask_ratio or masks.ratio,
        ClipAugment(reader.size, hp.crop, hp.flip, hp.color_jitter),
        hp.contrast_weight,
    )
    return build_run(job, hp, objective, data)


def _objective(job: TrainingJob, hp: VideoMaeHyperparameters) -> VideoObjective:
    if isinstance(job.model, Path):
        return load_stored(job, job.model, hp, load_video)
    config = configure_preset(job.model, hp)
    stride = config.pop("stride")
    model = build_preset(config | {name: getattr(hp, name) or config[name] for name in GEOMETRY})
    reader = VideoProcessor(
        grid_of(model), mean=IMAGE_MEAN, std=IMAGE_STD, stride=hp.stride or stride, frame_rate=hp.frame_rate
    )
    return VideoObjective(model, reader, decodes=True, new_head=True)
