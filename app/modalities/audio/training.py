"""Training on audio: models, spectrograms and their augmentation."""

import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from app.methods.audio import AudioMaeHyperparameters, spectrogram
from app.modalities.audio.decoding import audio_decoding
from app.modalities.audio.load import load_audio
from app.modalities.audio.mel import CEILING, FLOOR, Floats, MelSettings
from app.modalities.audio.objective import AudioObjective
from app.modalities.audio.processor import MIN_STD, AudioProcessor
from app.modalities.patch.decoding import Decoding
from app.modalities.patch.geometry import Geometry
from app.modalities.patch.mae import build_mae, grid_of
from app.modalities.patch.pretrain import Sample
from app.modalities.patch.training import PatchTraining

MEASURED = 512  # samples from which the mean and the standard deviation of the data are computed


class AudioTraining(PatchTraining[AudioMaeHyperparameters, AudioObjective]):
    def load(self, folder: Path, settings: Mapping[str, Any]) -> AudioObjective:
        return load_audio(folder, new_head=True, settings=settings)

    def build(
        self, config: Mapping[str, Any], geometry: Geometry, hyperparameters: AudioMaeHyperparameters
    ) -> AudioObjective:
        mel = MelSettings(**spectrogram(config, hyperparameters))
        fields = {name: value for name, value in config.items() if name not in ("model_type", "sample_rate")}
        sizes, patch = list(geometry.grid.sizes), geometry.grid.patch[0]
        model = build_mae(fields | {"image_size": sizes, "patch_size": patch})
        return AudioObjective(model, AudioProcessor(grid_of(model), mel), decodes=True, new_head=True)

    def decoding(
        self, objective: AudioObjective, geometry: Geometry, hyperparameters: AudioMaeHyperparameters
    ) -> Decoding:
        return audio_decoding(geometry, objective.processor)

    def fit(self, objective: AudioObjective, samples: Iterable[Sample], tell: Callable[[str], None]) -> AudioObjective:
        mean, std = measure(itertools.islice(samples, MEASURED))
        tell(f"The log-mel of the training data: mean {mean:.1f} dB, standard deviation {std:.1f} dB")
        processor = replace(objective.processor, mean=mean, std=std)
        return AudioObjective(objective.model, processor, decodes=True, new_head=True)

    def augment(self, objective: AudioObjective, hyperparameters: AudioMaeHyperparameters) -> "SpectrogramAugment":
        return SpectrogramAugment(objective.processor.window_frames, hyperparameters.time_roll, hyperparameters.gain)


def measure(samples: Iterable[Sample]) -> tuple[float, float]:
    """Returns (mean, standard deviation) in dB of the samples' log-mel values."""
    parts = [np.asarray(sample, np.float64) for sample in samples]
    count = sum(part.size for part in parts)
    mean = sum(part.sum() for part in parts) / count
    variance = sum(np.square(part - mean).sum() for part in parts) / count
    scale = CEILING - FLOOR
    return float(mean * scale + FLOOR), max(MIN_STD, float(np.sqrt(variance) * scale))


@dataclass(frozen=True)
class SpectrogramAugment:
    """Turns a dataset's sample [n, F] into ([frames, F, 1] float32, the number of frames that are not padding).

    gain: maximum change of the volume in dB, up or down. Silence stays silence.
    """

    frames: int
    roll: bool
    gain: float

    def __call__(self, sample: Any, rng: np.random.Generator | None) -> tuple[Floats, int]:
        """Draws a window and its changes from `rng`. Without `rng`, takes the beginning unchanged."""
        start = rng.integers(max(0, len(sample) - self.frames) + 1) if rng is not None else 0
        heard = np.asarray(sample[start : start + self.frames], np.float32)
        if rng is not None:
            if self.roll:
                heard = np.roll(heard, rng.integers(len(heard)), axis=0)
            louder = np.float32(rng.uniform(-self.gain, self.gain) / (CEILING - FLOOR))
            heard = np.where(heard > 0, np.clip(heard + louder, 0, 1), 0)
        padded = np.pad(heard, ((0, self.frames - len(heard)), (0, 0)))
        return padded[..., None].astype(np.float32), len(heard)
