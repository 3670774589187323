"""Classification by a linear layer on a model's embeddings: the head that an evaluation trains and publishes."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from app.errors import AppError, InvalidModel, InvalidValue
from app.modalities.base import AnyHandler, AnySteps, Steps, TaskHandler
from app.modalities.classification import ClassifyItem, ClassifyResult, TextPair, refuse_token_options
from app.modalities.embedding import EmbedItem, EmbedResult
from app.types import Classifier, Task

if TYPE_CHECKING:
    from app.modalities.served_model import ServedModel

HEAD = "head.safetensors"
_FORMAT = "cloze-probe"  # in the metadata of the file; other files of this name are not read

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ProbeHead:
    """Standardizes a vector and multiplies it: logits = (vector - mean) / scale @ coefficients.T + intercepts.

    mean, scale: [D]. coefficients: [L, D]. intercepts: [L]. L: number of labels.
    """

    classifier: Classifier
    mean: Floats
    scale: Floats
    coefficients: Floats
    intercepts: Floats

    def __post_init__(self) -> None:
        """Raises InvalidModel for tensors that do not fit each other, or numbers that are not finite."""
        labels, dimensions = len(self.classifier.labels), self.mean.shape[-1] if self.mean.ndim else 0
        expected = {"mean": (dimensions,), "scale": (dimensions,), "intercepts": (labels,)}
        for name, shape in {**expected, "coefficients": (labels, dimensions)}.items():
            given = getattr(self, name)
            if given.shape != shape:
                raise InvalidModel(f"{name} of {HEAD} is {list(given.shape)}; {list(shape)} is expected")
            if not np.isfinite(given).all():
                raise InvalidModel(f"{name} of {HEAD} holds numbers that are not finite")
        if not (self.scale > 0).all():
            raise InvalidModel(f"scale of {HEAD} holds numbers that are not above 0")

    def logits(self, vectors: NDArray[np.floating[Any]]) -> Floats:
        """Returns the logits of vectors: [..., D] → [..., L]."""
        standardized = (vectors.astype(np.float64) - self.mean) / self.scale
        return np.asarray(standardized @ self.coefficients.T + self.intercepts)

    def save(self, path: Path) -> None:
        """Writes the head with its classifier as one safetensors file."""
        from safetensors.numpy import save_file

        names = ("mean", "scale", "coefficients", "intercepts")
        tensors = {name: np.ascontiguousarray(getattr(self, name), np.float64) for name in names}
        save_file(tensors, path, {"format": _FORMAT, "classifier": self.classifier.model_dump_json()})


def load_head(path: Path) -> ProbeHead | None:
    """Reads a head; None for a missing file, and for one of another format. Raises InvalidModel."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != _FORMAT:
                return None
            names = ("mean", "scale", "coefficients", "intercepts")
            tensors = {name: file.get_tensor(name).astype(np.float64) for name in names}
            return ProbeHead(Classifier.model_validate(json.loads(metadata["classifier"])), **tensors)
    except (SafetensorError, KeyError, TypeError, ValueError, ValidationError) as error:
        raise InvalidModel(f"{HEAD} of the model folder cannot be read: {error}") from error


class ProbeClassify(TaskHandler[ClassifyItem, Any, Any, Any, ClassifyResult]):
    """Classifies by a head on the vectors of the model's own embedding task, whose batches it shares."""

    rows_of = Task.EMBED

    def __init__(self, embed: AnyHandler, head: ProbeHead) -> None:
        self._embed, self._head = embed, head
        self.reads_files = embed.reads_files

    def steps(self, item: ClassifyItem) -> Steps[Any, Any, ClassifyResult]:
        return self._classify(item, self._embed.steps(_embedding(item)))

    def _classify(self, item: ClassifyItem, steps: AnySteps) -> Steps[Any, Any, ClassifyResult]:
        result: EmbedResult = yield from steps
        logits = self._head.logits(result.vector)
        if not np.isfinite(logits).all():
            raise AppError("the model computed numbers that are not finite for this input")
        return ClassifyResult(logits, self._head.classifier, item.top_k, result.tokens)

    def collate(self, inputs: Sequence[Any]) -> Any:
        return self._embed.collate(inputs)

    def run(self, batch: Any) -> Sequence[Any]:
        return self._embed.run(batch)

    @property
    def pads(self) -> bool:
        return self._embed.pads

    def example(self) -> ClassifyItem | None:
        example: EmbedItem | None = self._embed.example()
        return None if example is None else ClassifyItem(example.input)

    def is_quick(self, item: ClassifyItem) -> bool:
        return self._embed.is_quick(_embedding(item))

    def takes_one_step(self, item: ClassifyItem) -> bool:
        return self._embed.takes_one_step(_embedding(item))

    def decoding(self, item: ClassifyItem) -> Callable[[], ClassifyItem]:
        return partial(_decode, item, self._embed.decoding(_embedding(item)))


def add_probe(served: "ServedModel", folder: Path) -> None:
    """Adds the task of classification to a model whose folder has a head. Raises InvalidModel."""
    head = load_head(folder / HEAD)
    if head is None:
        return
    if Task.EMBED not in served.tasks:
        raise InvalidModel(f"the model folder has a {HEAD}, and the model gives no vectors")
    dimensions = len(head.mean)
    if served.dimensions not in (None, dimensions):
        raise InvalidModel(
            f"{HEAD} reads vectors of {dimensions} dimensions, and those of the model have {served.dimensions}"
        )
    served.classifier = head.classifier
    served.tasks = {**served.tasks, Task.CLASSIFY: ProbeClassify(served.tasks[Task.EMBED], head)}


def _embedding(item: ClassifyItem) -> EmbedItem:
    """Returns the item whose vector the head reads: the model's own pooling, not normalized, as at its training.

    Raises InvalidValue for a pair of texts, and for options of other models.
    """
    if isinstance(item.input, TextPair):
        raise InvalidValue("the head of this model reads one text, not a pair", param="input")
    refuse_token_options(item)
    return EmbedItem(item.input, normalize=False, truncate=item.truncate, truncation_side=item.truncation_side)


def _decode(item: ClassifyItem, decode: Callable[[], EmbedItem]) -> ClassifyItem:
    return replace(item, input=decode().input)
