"""The descriptor of a modality: everything that the rest of Cloze asks of it.

A descriptor is imported by processes that never load a model. It imports torch and transformers only within the
methods that need them.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.errors import InvalidValue
from app.methods import Method
from app.modalities.onnx_export import OnnxExport
from app.modalities.plain_features import PlainFeatures
from app.modalities.reconstruction import ReconstructResult
from app.types import Task

if TYPE_CHECKING:
    import torch

    from app.modalities.estimator import Estimator
    from app.modalities.served_model import ServedModel

# (the content, its file name) → what was found, for the estimator. Raises InvalidData and TooLarge.
Check = Callable[[Path, str], Any]
Renderer = Callable[[ReconstructResult], bytes]


@dataclass(frozen=True)
class Rendering:
    """The files that show a reconstruction.

    files: media type → the answer as one file, which a client asks for by `Accept`.
    parts: name → (media type, file), which a JSON answer carries.
    """

    files: Mapping[str, Renderer]
    parts: Mapping[str, tuple[str, Renderer]]


class Modality(ABC):
    """One modality. `app.modalities.registry` lists the descriptors.

    name: on the wire, in manifests and in messages.
    methods: the pretraining methods of the modality, by name.
    model_types: architectures of model folders that no manifest describes. `is_marked` decides where an architecture
    belongs to several modalities.
    examples: what curl is given behind the server's address to ask a model for a task, for model cards;
    `{name}` is the model's.
    """

    name: str
    methods: Mapping[str, Method]
    model_types: frozenset[str]
    examples: Mapping[Task, str]

    def is_marked(self, folder: Path) -> bool:
        """Whether a file of the model folder names this modality."""
        return False

    def check_folder(self, folder: Path) -> None:  # noqa: B027 - most have nothing to judge without weights
        """Judges a model folder before its weights are there. Raises InvalidModel."""

    @abstractmethod
    def load(self, folder: Path, *, dtype: "torch.dtype") -> "ServedModel":
        """Loads the model in `folder` on the CPU. Raises InvalidModel."""

    @abstractmethod
    def check(self, hyperparameters: Any) -> Check:
        """Returns the check of a job's data files. It can be pickled, since it runs in a child process."""

    @abstractmethod
    def estimator(self, method: str) -> "Estimator":
        """Returns what estimates the amount of a job's data and the cost of its model. method: one of `methods`."""

    @abstractmethod
    def training(self, method: str) -> Any:
        """Returns how a method trains models; `app.training.prepare` has a function for each of its classes."""

    def examples_from(self, text: str, masked: str) -> Mapping[Task, str]:
        """Returns `examples` that show an item of a model's own data. masked: the item with masks."""
        return self.examples

    def limitations(self, architecture: str) -> Sequence[str]:
        """Returns sentences for the cards of models of an architecture."""
        return ()

    def plain_features(self) -> PlainFeatures | None:
        """Returns features of a file that need no model; None where items are texts, or there are none."""
        return None

    def thumbnail(self) -> Callable[[bytes], bytes] | None:
        """Returns what makes a small WebP image of a file; None where reports show no items. It can be pickled."""
        return None

    def rendering(self) -> Rendering | None:
        """Returns how /v1/reconstruct shows results; None where no model reconstructs."""
        return None

    def export_onnx(self, folder: Path, target: Path, task: Task | None) -> OnnxExport:
        """Writes the model in `folder` as an ONNX graph into the empty folder `target`, proved to be equal.

        task: what the graph computes; None for the model's first task.
        Raises InvalidValue for models that have no export, or whose graph is not equal.
        """
        raise InvalidValue(f"models of {self.name} have no ONNX export; models of text have one")
