"""Sensor series for the modality in tests/toy_modality."""

import zipfile
from pathlib import Path

import numpy as np
import torch

from app.methods.image import configured
from tests.toy_modality.geometry import sensor_geometry
from tests.toy_modality.methods import PRESETS, SensorHyperparameters
from tests.toy_modality.series import SENSORS, encode_series
from tests.toy_modality.training import SensorTraining

RATE = 50.0


def series(seed: int = 0, readings: int = 64) -> bytes:
    """Sines whose frequencies and phases the seed decides."""
    rng = np.random.default_rng(seed)
    time = np.arange(readings)[:, None] / RATE
    waves = np.sin(2 * np.pi * (rng.uniform(1, 4, SENSORS) * time + rng.random(SENSORS)))
    return encode_series(((0.8 * waves + 1) / 2).astype(np.float32), RATE)


def sensor_folder(path: Path) -> Path:
    """Writes the folder of a tiny random model at `path` and returns it."""
    hp = SensorHyperparameters()
    config = configured(PRESETS["sensor-tiny"], hp)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        SensorTraining().build(config, sensor_geometry(config, hp), hp).save(path, torch.float32)
    return path


def series_zip(path: Path, count: int = 16, *, readings: int = 64, broken: int = 0) -> Path:
    """`count` good series, broken ones, and a list of labels."""
    with zipfile.ZipFile(path, "w") as archive:
        for seed in range(count):
            archive.writestr(f"series/{seed:03}.csv", series(seed, readings))
        for seed in range(broken):
            archive.writestr(f"series/broken-{seed}.csv", series(seed)[:-20] + b"x")
        archive.writestr("labels.csv", "file,label\n")
    return path
