"""The preparation of runs on waveforms."""

from pathlib import Path

from app.methods import Wav2Vec2Hyperparameters
from app.modalities.audio.crops import crop_length
from app.modalities.audio.wav2vec2_training import Wav2Vec2Training
from app.training.hooks import Hooks
from app.training.job import PreparedRun, TrainingJob
from app.training.media import build_run, make_datasets


def prepare(training: Wav2Vec2Training, job: TrainingJob, hooks: Hooks) -> PreparedRun:
    """Prepares model and data. Raises AppErrors for what the user can fix: data, model, hyperparameters."""
    hp = job.hyperparameters
    assert isinstance(hp, Wav2Vec2Hyperparameters)
    if isinstance(job.model, Path):
        objective, new_head = training.load(job.model, hp, hooks.on_event)
    else:
        objective, new_head = training.build(job.model, hp), True
    data = make_datasets(
        job,
        hp,
        training.decoding(objective),
        objective.parameter_count(),
        hooks,
        tokens=lambda samples: objective.frames.count(crop_length(samples, objective.longest)),
        window=objective.longest,
    )
    return build_run(job, hp, objective, data, new_head=new_head)
