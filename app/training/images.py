"""Models and pictures of runs on images."""

from pathlib import Path

import torch

from app.methods import ImageHyperparameters
from app.methods.image import kept_size
from app.modalities.image.builder import build_preset
from app.modalities.image.load import load_image
from app.modalities.image.objective import ImageObjective
from app.modalities.image.processor import ImageProcessor
from app.modalities.patch.mae import grid_of
from app.modalities.patch.masking import SAMPLERS
from app.training.data.augment import ImageAugment
from app.training.data.media_decoding import image_decoding
from app.training.hooks import Hooks
from app.training.job import PreparedRun, TrainingJob
from app.training.media import build_run, configure_preset, load_stored, make_datasets


def prepare(job: TrainingJob, hooks: Hooks, device: torch.device) -> PreparedRun:
    """Raises AppErrors for what the user can mend: data, model, hyperparameters."""
    hp = job.hyperparameters
    assert isinstance(hp, ImageHyperparameters)
    objective = _objective(job, hp)
    size, channels = objective.space.grid.sizes[0], objective.space.grid.channels
    decoding = image_decoding(kept_size(size, hp.crop), channels)
    data = make_datasets(job, hp, decoding, objective, hooks)
    masks = objective.masks
    objective.start_training(
        SAMPLERS[hp.mask_strategy or masks.strategy],
        hp.mask_ratio or masks.ratio,
        ImageAugment(size, hp.crop, hp.flip, hp.color_jitter),
        hp.contrast_weight,
    )
    return build_run(job, hp, objective, data)


def _objective(job: TrainingJob, hp: ImageHyperparameters) -> ImageObjective:
    if isinstance(job.model, Path):
        return load_stored(job, job.model, hp, load_image)
    config = configure_preset(job.model, hp)
    config |= {"image_size": hp.image_size or config["image_size"], "patch_size": hp.patch_size or config["patch_size"]}
    channels = hp.channels or 3
    model = build_preset(config | {"num_channels": channels})
    reader = ImageProcessor(grid_of(model), mean=(0.5,) * channels, std=(0.5,) * channels)
    return ImageObjective(model, reader, decodes=True, new_head=True)
