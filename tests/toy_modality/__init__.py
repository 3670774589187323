"""A fifth modality, outside app/: recordings of eight sensors. The worked example of docs/adding-a-modality.md."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.media.accepted import AcceptedFiles
from app.modalities.descriptor import Rendering
from app.modalities.examples import embed_example, reconstruct_example
from app.modalities.patch.geometry import Geometry
from app.modalities.patch.modality import PatchModality
from app.types import Task
from tests.toy_modality.geometry import sensor_geometry
from tests.toy_modality.methods import METHODS, NAME, SensorHyperparameters
from tests.toy_modality.processor import is_sensor
from tests.toy_modality.series import SERIES

if TYPE_CHECKING:
    import torch

    from app.modalities.served_model import AnyMaskedModel
    from tests.toy_modality.training import SensorTraining


class SensorModality(PatchModality):
    name = NAME
    methods = METHODS
    model_types = frozenset()  # ViTMAE is an architecture of images: the processor file tells
    examples: Mapping[Task, str] = {
        Task.EMBED: embed_example("data:application/octet-stream;base64,…"),
        Task.RECONSTRUCT: reconstruct_example("series.csv"),
    }

    def is_marked(self, folder: Path) -> bool:
        return is_sensor(folder)

    def load(self, folder: Path, *, dtype: "torch.dtype") -> "AnyMaskedModel":
        from tests.toy_modality.model import load_sensor

        return load_sensor(folder, dtype=dtype)

    def accepted(self, hyperparameters: Any) -> AcceptedFiles:
        return SERIES

    def geometry(self, config: Mapping[str, Any], hyperparameters: SensorHyperparameters) -> Geometry:
        return sensor_geometry(config, hyperparameters)

    def training(self, method: str) -> "SensorTraining":
        from tests.toy_modality.training import SensorTraining

        return SensorTraining()

    def rendering(self) -> Rendering:
        from tests.toy_modality.rendering import RENDERING

        return RENDERING


SENSOR = SensorModality()
