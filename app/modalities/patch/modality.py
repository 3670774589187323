"""The descriptor of a modality whose items are cut into patches."""

from abc import abstractmethod
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from app.datasets.samples import check_samples
from app.media.accepted import AcceptedFiles
from app.modalities.descriptor import Check, Modality
from app.modalities.patch.estimator import PatchEstimator
from app.modalities.patch.geometry import Geometry

if TYPE_CHECKING:
    from app.modalities.estimator import Estimator


class PatchModality(Modality):
    @abstractmethod
    def accepted(self, hyperparameters: Any) -> AcceptedFiles:
        """Returns the files that a job with these hyperparameters is trained on."""

    @abstractmethod
    def geometry(self, config: Mapping[str, Any], hyperparameters: Any) -> Geometry:
        """Returns the geometry of a model with this configuration, its processor's fields included.

        Raises KeyError, TypeError and ValueError where the configuration says too little.
        """

    def check(self, hyperparameters: Any) -> Check:
        return partial(check_samples, accepted=self.accepted(hyperparameters))

    def estimator(self, method: str) -> "Estimator":
        return PatchEstimator(self.geometry)
