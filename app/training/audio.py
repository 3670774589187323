"""Models and spectrograms of runs on sounds."""

import itertools
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from app.methods import AudioMaeHyperparameters
from app.methods.audio import geometry, spectrogram
from app.modalities.audio.load import load_audio
from app.modalities.audio.mel import CEILING, FLOOR, Floats, MelSettings
from app.modalities.audio.objective import AudioObjective
from app.modalities.audio.processor import MIN_STD, AudioProcessor
from app.modalities.patch.mae import build_mae, grid_of
from app.modalities.patch.masking import SPECTROGRAM_SAMPLERS
from app.training.data.media_decoding import audio_decoding
from app.training.data.mixture import iterate_samples
from app.training.hooks import Dataset, Hooks
from app.training.job import PreparedRun, TrainingJob
from app.training.media import build_run, configure_preset, load_stored, make_datasets

MEASURED = 512  # samples from which the mean and the deviation of the data are taken


def prepare(job: TrainingJob, hooks: Hooks, device: torch.device) -> PreparedRun:
    """Raises AppErrors for what the user can mend: data, model, hyperparameters."""
    hp = job.hyperparameters
    assert isinstance(hp, AudioMaeHyperparameters)
    objective = _objective(job, hp)
    reader = objective.reader
    data = make_datasets(job, hp, audio_decoding(reader), objective, hooks, window=reader.window_frames)
    if not isinstance(job.model, Path):
        mean, std = measure(data[0], hp.seed)
        hooks.on_event(f"The log-mel of the training data: mean {mean:.1f} dB, standard deviation {std:.1f} dB")
        reader = replace(reader, mean=mean, std=std)
        objective = AudioObjective(objective.model, reader, decodes=True, new_head=True)
    masks = objective.masks
    objective.start_training(
        SPECTROGRAM_SAMPLERS[hp.mask_strategy or masks.strategy],
        hp.mask_ratio or masks.ratio,
        SpectrogramAugment(reader.window_frames, hp.time_roll, hp.gain),
        hp.contrast_weight,
    )
    return build_run(job, hp, objective, data)


def _objective(job: TrainingJob, hp: AudioMaeHyperparameters) -> AudioObjective:
    if isinstance(job.model, Path):
        return load_stored(job, job.model, hp, load_audio)
    config = configure_preset(job.model, hp)
    frames, bands, patch = geometry(config, hp)
    mel = MelSettings(**spectrogram(config, hp))
    del config["model_type"], config["sample_rate"]
    model = build_mae(config | {"image_size": [frames, bands], "patch_size": patch})
    return AudioObjective(model, AudioProcessor(grid_of(model), mel), decodes=True, new_head=True)


def measure(data: Dataset, seed: int) -> tuple[float, float]:
    """(mean, standard deviation) in dB of the log-mel of the data, from those samples that training begins with."""
    order = itertools.islice(iterate_samples(data, seed, 0), min(len(data), MEASURED))
    parts = [np.asarray(data[row], np.float64) for _, row in order]
    count = sum(part.size for part in parts)
    mean = sum(part.sum() for part in parts) / count
    variance = sum(np.square(part - mean).sum() for part in parts) / count
    scale = CEILING - FLOOR
    return float(mean * scale + FLOOR), max(MIN_STD, float(np.sqrt(variance) * scale))


@dataclass(frozen=True)
class SpectrogramAugment:
    """A dataset's sample [n, F] → what the model hears of it, ([frames, F, 1] float32, frames that are no padding).

    gain: dB, at most, either way. What was silent stays so.
    """

    frames: int
    roll: bool
    gain: float

    def __call__(self, sample: Any, rng: np.random.Generator | None) -> tuple[Floats, int]:
        """Without a generator its beginning, as it is."""
        start = rng.integers(max(0, len(sample) - self.frames) + 1) if rng is not None else 0
        heard = np.asarray(sample[start : start + self.frames], np.float32)
        if rng is not None:
            if self.roll:
                heard = np.roll(heard, rng.integers(len(heard)), axis=0)
            louder = np.float32(rng.uniform(-self.gain, self.gain) / (CEILING - FLOOR))
            heard = np.where(heard > 0, np.clip(heard + louder, 0, 1), 0)
        padded = np.pad(heard, ((0, self.frames - len(heard)), (0, 0)))
        return padded[..., None].astype(np.float32), len(heard)
