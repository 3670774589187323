"""Tiny audio models with random weights, as real model folders, and sounds for them."""

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch

from app.modalities.audio.mel import MelSettings
from app.modalities.audio.processor import AudioProcessor
from app.modalities.patch.mae import build_mae, grid_of
from tests.fakes.tiny_images import DECODER, TINY

RATE = 8000
MEL = MelSettings(RATE, n_fft=256, win_length=200, hop_length=80, n_mels=16, f_min=0.0, f_max=4000.0)
FRAMES, PATCH = 40, 8  # 0.4 s; 5 × 2 patches, no square and no square number
WINDOW = FRAMES * MEL.frame_seconds


def tiny_audio_model(*, seed: int = 0, **settings: Any) -> Any:
    config = {"image_size": [FRAMES, MEL.n_mels], "patch_size": PATCH, "num_channels": 1, "mask_ratio": 0.8}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = build_mae(TINY | DECODER | config | settings)
    return model.eval()


def tiny_audio_folder(path: Path, *, head: bool = True, **settings: Any) -> Path:
    """Writes a model folder at `path` and returns it; without `head` it holds the bare encoder."""
    model = tiny_audio_model(**settings)
    (model if head else model.base_model).save_pretrained(path)
    AudioProcessor(grid_of(model), MEL).save(path)
    return path


def samples(seed: int = 0, seconds: float = 0.4, rate: int = RATE) -> np.ndarray:
    """A few tones of changing loudness that the seed decides, over a little noise."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    tones = [np.sin(2 * np.pi * (f * time + rng.random())) for f in rng.uniform(200, 3500, 3)]
    swells = [0.6 + 0.4 * np.sin(2 * np.pi * (f * time + rng.random())) for f in rng.uniform(1, 6, 3)]
    noise = 0.01 * rng.standard_normal(len(time))
    return (0.2 * sum(t * s for t, s in zip(tones, swells, strict=True)) + noise).astype(np.float32)


def sound_file(wave: np.ndarray, rate: int = RATE, form: str = "FLAC") -> bytes:
    out = io.BytesIO()
    soundfile.write(out, wave, rate, format=form)
    return out.getvalue()


def sound(seed: int = 0, seconds: float = 0.4, rate: int = RATE, form: str = "FLAC") -> bytes:
    return sound_file(samples(seed, seconds, rate), rate, form)


def sound_zip(path: Path, count: int = 16, *, seconds: float = 0.5, broken: int = 0, silent: int = 0) -> Path:
    """`count` good FLAC files, cut and silent ones, and a list of labels."""
    with zipfile.ZipFile(path, "w") as archive:
        for seed in range(count):
            archive.writestr(f"sounds/{seed:03}.flac", sound(seed, seconds))
        for seed in range(broken):
            archive.writestr(f"sounds/broken-{seed}.flac", sound(seed)[:60])
        for seed in range(silent):
            archive.writestr(f"sounds/silent-{seed}.flac", sound_file(np.zeros(RATE // 2)))
        archive.writestr("labels.csv", "file,label\n")
    return path
