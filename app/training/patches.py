"""The preparation of runs on items that are cut into patches."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from app.errors import InvalidValue
from app.methods import METHODS, PatchHyperparameters, preset
from app.methods.image import configured
from app.methods.patches import DECODER, settings_of
from app.modalities.estimator import stored_config
from app.modalities.patch.estimator import PROCESSOR
from app.modalities.patch.geometry import Geometry
from app.modalities.patch.modality import PatchModality
from app.modalities.patch.objective import PatchObjective
from app.modalities.patch.training import PatchTraining
from app.modalities.registry import modality_of_method
from app.training.data.mixture import iterate_samples
from app.training.hooks import Dataset, Hooks
from app.training.job import PreparedRun, TrainingJob
from app.training.media import build_run, make_datasets


def prepare(training: PatchTraining[Any, Any], job: TrainingJob, hooks: Hooks, device: torch.device) -> PreparedRun:
    """Prepares model and data. Raises AppErrors for what the user can fix: data, model, hyperparameters."""
    hp = job.hyperparameters
    assert isinstance(hp, PatchHyperparameters)
    objective, geometry = _make_objective(training, job, hp)
    decoding = training.decoding(objective, geometry, hp)
    data = make_datasets(
        job,
        hp,
        decoding,
        objective.parameter_count(),
        hooks,
        tokens=lambda rows: geometry.grid.count,
        window=geometry.window,
    )
    if not isinstance(job.model, Path):
        objective = training.fit(objective, _iterate_samples(data[0], hp.seed), hooks.on_event)
    defaults = objective.mask_defaults
    objective.start_training(
        defaults.samplers[getattr(hp, "mask_strategy", None) or defaults.strategy],
        hp.mask_ratio or defaults.ratio,
        training.augment(objective, hp),
        hp.contrast_weight,
    )
    return build_run(job, hp, objective, data, new_head=objective.new_head)


def _make_objective(
    training: PatchTraining[Any, Any], job: TrainingJob, hp: PatchHyperparameters
) -> tuple[PatchObjective, Geometry]:
    modality = modality_of_method(job.method)
    assert isinstance(modality, PatchModality)
    if isinstance(job.model, Path):
        objective = _load_stored(training, job, job.model, hp)
        config = stored_config(job.model, PROCESSOR) | objective.model.config.to_dict()
        return objective, modality.geometry(config, hp)
    config = configured(preset(job.model) or {}, hp)
    geometry = modality.geometry(config, hp)
    return training.build(config, geometry, hp), geometry


def _load_stored(
    training: PatchTraining[Any, Any], job: TrainingJob, folder: Path, hp: PatchHyperparameters
) -> PatchObjective:
    """Loads the stored model that a job continues. Raises InvalidValue if the job's method cannot train it."""
    for name in DECODER:
        if getattr(hp, name, None):
            raise InvalidValue("a stored model's decoder keeps its size", param=name)
    objective: PatchObjective = training.load(folder, settings_of(hp))
    known = METHODS[job.method].architectures
    if objective.model.config.model_type not in known:
        raise InvalidValue(f"the method {job.method} only trains {', '.join(known)} models", param="model")
    return objective


def _iterate_samples(data: Dataset, seed: int) -> Iterator[Any]:
    """Yields the samples in the order in which training begins, each once."""
    return (data[row] for _, row in itertools.islice(iterate_samples(data, seed, 0), len(data)))
