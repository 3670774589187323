"""The preparation of a job's model and data, by the descriptor of its modality."""

from functools import singledispatch

import torch

from app.modalities.audio.wav2vec2_training import Wav2Vec2Training
from app.modalities.patch.training import PatchTraining
from app.modalities.registry import modality_of_method
from app.modalities.text.training import ContrastiveTraining, TextTraining
from app.training import contrastive, patches, text, waveforms
from app.training.hooks import Hooks
from app.training.job import PreparedRun, TrainingJob


def prepare(job: TrainingJob, hooks: Hooks, device: torch.device) -> PreparedRun:
    """Prepares model and data. Raises AppErrors for what the user can fix: data, model, hyperparameters."""
    return prepare_with(modality_of_method(job.method).training(job.method), job, hooks, device)


@singledispatch
def prepare_with(training: object, job: TrainingJob, hooks: Hooks, device: torch.device) -> PreparedRun:
    """Prepares a run with what `Modality.training(method)` returns.

    There is one function for each class of `training`. A modality of another kind registers its own.
    """
    raise NotImplementedError(f"no preparation is registered for {type(training).__name__}")


@prepare_with.register
def _(training: TextTraining, job: TrainingJob, hooks: Hooks, device: torch.device) -> PreparedRun:
    return text.prepare(job, hooks, device)


@prepare_with.register
def _(training: ContrastiveTraining, job: TrainingJob, hooks: Hooks, device: torch.device) -> PreparedRun:
    return contrastive.prepare(job, hooks)


@prepare_with.register(PatchTraining)
def _(training: PatchTraining, job: TrainingJob, hooks: Hooks, device: torch.device) -> PreparedRun:  # type: ignore[type-arg]
    return patches.prepare(training, job, hooks, device)


@prepare_with.register
def _(training: Wav2Vec2Training, job: TrainingJob, hooks: Hooks, device: torch.device) -> PreparedRun:
    return waveforms.prepare(training, job, hooks)
