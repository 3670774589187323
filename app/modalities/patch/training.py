"""The part of training that differs among modalities of patches: models, decoding of files, augmentation."""

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
    """One for each modality. `app.training.patches` calls the methods, in this order."""

    @abstractmethod
    def load(self, folder: Path, settings: Mapping[str, Any]) -> O:
        """Loads a stored model, with a new decoder where it has none.

        settings: fields of its configuration to set anew. Raises InvalidModel.
        """

    @abstractmethod
    def build(self, config: Mapping[str, Any], geometry: Geometry, hyperparameters: H) -> O:
        """Builds a random model of a preset's configuration, from torch's global generator."""

    @abstractmethod
    def decoding(self, objective: O, geometry: Geometry, hyperparameters: H) -> Decoding:
        """Returns how files become rows of the geometry."""

    def fit(self, objective: O, samples: Iterable[Sample], tell: Callable[[str], None]) -> O:
        """Returns the new model with what its processor takes from the data, such as their mean.

        samples: those that training begins with, read as they are asked for. tell: logs a message.
        """
        return objective

    @abstractmethod
    def augment(self, objective: O, hyperparameters: H) -> Augment:
        """Returns how a sample is varied from one time that the model sees it to the next."""
