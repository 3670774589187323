"""The parts of training in which modalities of patches differ: models, decoding of files, augmentation."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

from app.methods.patches import PatchHyperparameters
from app.modalities.patch.decoding import Decoding
from app.modalities.patch.geometry import Geometry
from app.modalities.patch.objective import PatchObjective
from app.modalities.patch.pretrain import Augment, Sample

H = TypeVar("H", bound=PatchHyperparameters)
O = TypeVar("O", bound=PatchObjective)  # noqa: E741


class PatchTraining(ABC, Generic[H, O]):
    """The training parts of one modality. `app.training.patches` calls the methods in this order."""

    @abstractmethod
    def load(self, folder: Path, settings: Mapping[str, Any]) -> O:
        """Loads a stored model, with a new decoder if it has none. Raises InvalidModel.

        settings: fields of its configuration to replace.
        """

    @abstractmethod
    def build(self, config: Mapping[str, Any], geometry: Geometry, hyperparameters: H) -> O:
        """Builds a model of a preset's configuration, with random weights from torch's global generator."""

    @abstractmethod
    def decoding(self, objective: O, geometry: Geometry, hyperparameters: H) -> Decoding:
        """Returns how files become rows of the geometry."""

    def fit(self, objective: O, samples: Iterable[Sample], tell: Callable[[str], None]) -> O:
        """Fits a new model's processor to the data, for instance their mean, and returns the model.

        samples: the training samples, which are read lazily. tell: logs a message.
        """
        return objective

    @abstractmethod
    def augment(self, objective: O, hyperparameters: H) -> Augment:
        """Returns the augmentation that turns a sample into the model's input."""
