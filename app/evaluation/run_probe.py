"""The score of a model while it is trained: an evaluation in short, on the weights of each step that is evaluated."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray

from app.datasets.label_checks import EvaluationData, check_labels
from app.datasets.labelled import LabelledColumns, LabelledFile, LabelledItems
from app.datasets.labelled_files import read_labelled
from app.errors import InvalidData, TaskNotSupported
from app.evaluation.item_batches import ItemReader
from app.evaluation.probes import standardize
from app.evaluation.splits import LabelCount, Split, choose_counts, draw_subset, make_splits
from app.evaluation.target_kinds import TARGET_KINDS
from app.evaluation.unreadable import leave_out_unreadable
from app.modalities.served_model import ServedModel
from app.modalities.trainable import TrainableEmbed
from app.system.process_pool import ProcessPool
from app.types import LabelType, Task

MAX_ITEMS = 1_000  # of the training part, and of the test part
SEED = 0  # of the parts and of the labels that are drawn

ProbeMethod = Literal["linear_probe", "knn"]
_NAMES: dict[ProbeMethod, str] = {"linear_probe": "a linear probe", "knn": "nearest neighbours"}


@dataclass(frozen=True)
class ProbePlan:
    """The labelled items of a probe, and what learns from them. files: without `sequences`, as in `read_labelled`."""

    name: str
    method: ProbeMethod
    labels_per_class: LabelCount
    files: Sequence[LabelledFile]
    columns: LabelledColumns
    label_type: LabelType
    modality: str
    sequences: LabelledFile | None = None


@dataclass(frozen=True)
class _Drawn:
    """The items that are used: contents, with the indices of both parts and the targets of all."""

    contents: list[str | bytes]
    train: NDArray[np.int64]
    test: NDArray[np.int64]
    targets: NDArray[np.int64] | NDArray[np.float64]


class RunProbe:
    """Measures the score of a run's model, with the same items each time. See `app.training.hooks.Probe`.

    The caller sets the mode of the model, its precision, and whether gradients are recorded.
    """

    def __init__(self, plan: ProbePlan, decoders: ProcessPool, batch_tokens: int) -> None:
        self._plan, self._decoders, self._batch_tokens = plan, decoders, batch_tokens

    def start(self, model: ServedModel) -> str:
        """Reads and draws the items. Returns the description of the score.

        Raises InvalidData, and TaskNotSupported for a model whose vectors cannot be computed while it is trained.
        """
        found = model.tasks.get(Task.EMBED)
        if not hasattr(found, "compute_vectors"):
            raise TaskNotSupported(f"a model of {model.modality} gives no vectors while it is trained")
        plan, self._handler = self._plan, cast(TrainableEmbed, found)
        self._reader = ItemReader(self._handler, self._decoders, self._batch_tokens)
        self._device = next(model.model.parameters()).device
        labelled = read_labelled(plan.files, plan.columns, plan.modality, sequences=plan.sequences)
        data = check_labels(labelled, plan.label_type)
        self._kind, self._classes = TARGET_KINDS[data.kind], len(data.classes)
        self._drawn = self._draw(data, model)
        train, test = len(self._drawn.train), len(self._drawn.test)
        return f"{self._kind.metric} of {_NAMES[plan.method]}: {train:,} labels, {test:,} test items of {plan.name}"

    def _draw(self, data: EvaluationData, model: ServedModel) -> _Drawn:
        """Draws at most MAX_ITEMS items of each part, and leaves out those that the model cannot read."""
        train, test = draw_parts(data, self._plan.labels_per_class)
        chosen = np.union1d(train, test)
        read = LabelledItems([data.items[index] for index in chosen])
        leave_out_unreadable(read, [model.tasks[Task.EMBED]], self._decoders, lambda done: None)
        kept = set(map(id, read.items))
        readable = [index for index in chosen if id(data.items[index]) in kept]
        train, test = (np.flatnonzero(np.isin(readable, part)) for part in (train, test))
        targets = data.targets[readable]
        if not len(test) or len(np.unique(targets[train], axis=0)) < 2:
            raise InvalidData(f"{self._plan.name}: too few of the items can be read by the model")
        return _Drawn([data.items[index].content for index in readable], train, test, targets)

    def measure(self) -> float | None:
        """Returns the score of the current weights; None if the model or the score is not finite or not defined."""
        drawn, kind = self._drawn, self._kind
        vectors = self._reader.retry(partial(self._embed, drawn.contents), self._device)
        if not np.isfinite(vectors).all():
            return None
        train, test = vectors[drawn.train], vectors[drawn.test]
        learner = kind.neighbours
        if self._plan.method == "linear_probe":
            learner = kind.linear
            train, test = standardize(train, test)
        prediction = learner(train, drawn.targets[drawn.train], test, SEED)
        score = kind.score(drawn.targets[drawn.test], prediction, self._classes).get(kind.metric)
        return score if score is not None and np.isfinite(score) else None

    def _embed(self, contents: Sequence[str | bytes]) -> NDArray[np.float32]:
        """Returns the vectors [N, D] of items, pooled in the model's own way."""
        batches = [
            (places, self._handler.compute_vectors(rows).float().cpu().numpy())
            for places, rows in self._reader.read(contents)
        ]
        order = np.concatenate([places for places, _ in batches])
        found: NDArray[np.float32] = np.concatenate([vectors for _, vectors in batches])[np.argsort(order)]
        return found


def draw_parts(data: EvaluationData, labels_per_class: LabelCount) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Returns the indices of the training and of the test items: those of an evaluation's first seed.

    Of more than MAX_ITEMS in a part, so many are drawn at random. Raises InvalidData.
    """
    split: Split = make_splits(data, 1)[0]
    train = draw_subset(data, split, choose_counts(data, [split], [labels_per_class])[0])
    if len(train) > MAX_ITEMS:
        train = np.sort(np.random.default_rng(SEED).permutation(train)[:MAX_ITEMS])
    test = np.sort(np.random.default_rng(SEED).permutation(split.test)[:MAX_ITEMS])
    return train, test
