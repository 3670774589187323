"""How jobs train the models."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.modalities.patch.decoding import Decoding
from app.modalities.patch.geometry import Geometry
from app.modalities.patch.mae import build_mae
from app.modalities.patch.pretrain import Augment
from app.modalities.patch.training import PatchTraining
from tests.toy_modality.methods import SensorHyperparameters
from tests.toy_modality.model import SensorObjective, load_sensor
from tests.toy_modality.series import SERIES, read_rows


class SensorTraining(PatchTraining[SensorHyperparameters, SensorObjective]):
    def load(self, folder: Path, settings: Mapping[str, Any]) -> SensorObjective:
        return load_sensor(folder, new_head=True, settings=settings)

    def build(
        self, config: Mapping[str, Any], geometry: Geometry, hyperparameters: SensorHyperparameters
    ) -> SensorObjective:
        fields = {name: value for name, value in config.items() if name != "model_type"}
        model = build_mae(fields | {"image_size": list(geometry.grid.sizes)})
        return SensorObjective(model, decodes=True, new_head=True)

    def decoding(
        self, objective: SensorObjective, geometry: Geometry, hyperparameters: SensorHyperparameters
    ) -> Decoding:
        return Decoding(SERIES, "readings", geometry.row_shape, geometry.dtype, read_rows)

    def augment(self, objective: SensorObjective, hyperparameters: SensorHyperparameters) -> Augment:
        readings = objective.space.grid.sizes[0]

        def cut(sample: Any, rng: np.random.Generator | None) -> tuple[NDArray[np.float32], int]:
            """A window of the sample, from anywhere in it; its beginning where it is evaluated."""
            start = rng.integers(max(0, len(sample) - readings) + 1) if rng is not None else 0
            part = np.asarray(sample[start : start + readings])
            return np.pad(part, ((0, readings - len(part)), (0, 0)))[..., None], len(part)

        return cut
