"""The test items that a linear probe gets wrong, and the confusion of its classes."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.datasets.label_checks import EvaluationData
from app.evaluation.metrics import ProbePrediction
from app.evaluation.splits import LabelCount, Split

MOST_ITEMS = 100  # mistakes that are kept
MOST_CLASSES = 50  # of a confusion matrix
MOST_PAIRS = 20  # of classes that are confused


@dataclass(frozen=True)
class Mistake:
    """A test item with a wrong prediction.

    item: its index in the data. predicted: the index of a class, a number, or the indices of any number of labels.
    probability: of that class; None for the others. wrong: the runs that get it wrong, of those that tested it. Of
    several predictions, the one with the highest probability, the largest error or the most wrong labels is kept.
    """

    item: int
    predicted: float | tuple[int, ...]
    probability: float | None
    wrong: int
    tested: int


@dataclass(frozen=True)
class Mistakes:
    """The mistakes of a model's linear probe with the most labels, over all runs.

    items: the first are wrong in the largest share of their runs, and with the highest probability or the most wrong
    labels; for numbers, those with the largest error. count: of all items with a wrong prediction; None for numbers.
    confusion: predictions [C, C] by true and predicted class, where each item has one, for at most `MOST_CLASSES`.
    pairs: (true class, predicted class) and how many predictions, the most frequent first.
    """

    model: str
    labels_per_class: LabelCount
    runs: int
    items: Sequence[Mistake]
    count: int | None = None
    confusion: NDArray[np.int64] | None = None
    pairs: Sequence[tuple[tuple[int, int], int]] = ()


def find_mistakes(
    data: EvaluationData,
    model: str,
    count: LabelCount,
    splits: Sequence[Split],
    predictions: Sequence[ProbePrediction],
) -> Mistakes:
    """Finds the mistakes of predictions, one for each split. count: the labels per class of the probe."""
    if data.kind == "labels":
        wrong_sets = _find_wrong_sets(data, splits, predictions)
        return Mistakes(model, count, len(splits), wrong_sets[:MOST_ITEMS], len(wrong_sets))
    if data.kind == "numbers":
        return Mistakes(model, count, len(splits), _find_large_errors(data, splits, predictions))
    tested, wrong = Counter[int](), Counter[int]()
    kept: dict[int, tuple[int, float]] = {}
    pairs = Counter[tuple[int, int]]()
    for split, prediction in zip(splits, predictions, strict=True):
        probabilities = prediction.probabilities if prediction.probabilities is not None else np.zeros(len(split.test))
        for item, predicted, probability in zip(split.test.tolist(), prediction.values, probabilities, strict=True):
            tested[item] += 1
            pairs[int(data.targets[item]), int(predicted)] += 1
            if predicted != data.targets[item]:
                wrong[item] += 1
                if item not in kept or probability > kept[item][1]:
                    kept[item] = int(predicted), float(probability)
    order = sorted(kept, key=lambda item: (-wrong[item] / tested[item], -kept[item][1], item))
    items = [Mistake(item, *kept[item], wrong[item], tested[item]) for item in order[:MOST_ITEMS]]
    confused = Counter({pair: number for pair, number in pairs.items() if pair[0] != pair[1]})
    matrix = _count_pairs(pairs, len(data.classes)) if len(data.classes) <= MOST_CLASSES else None
    return Mistakes(model, count, len(splits), items, len(kept), matrix, confused.most_common(MOST_PAIRS))


def _find_large_errors(
    data: EvaluationData, splits: Sequence[Split], predictions: Sequence[ProbePrediction]
) -> list[Mistake]:
    tested = Counter[int]()
    kept: dict[int, float] = {}
    for split, prediction in zip(splits, predictions, strict=True):
        for item, predicted in zip(split.test.tolist(), prediction.values.tolist(), strict=True):
            tested[item] += 1
            target = data.targets[item]
            if item not in kept or abs(predicted - target) > abs(kept[item] - target):
                kept[item] = float(predicted)
    order = sorted(kept, key=lambda item: -abs(kept[item] - data.targets[item]))
    return [Mistake(item, kept[item], None, tested[item], tested[item]) for item in order[:MOST_ITEMS]]


def _find_wrong_sets(
    data: EvaluationData, splits: Sequence[Split], predictions: Sequence[ProbePrediction]
) -> list[Mistake]:
    """Returns the items with a label too many or too few, those with the most first."""
    tested, wrong = Counter[int](), Counter[int]()
    kept: dict[int, tuple[int, tuple[int, ...]]] = {}
    for split, prediction in zip(splits, predictions, strict=True):
        errors = np.count_nonzero(prediction.values != data.targets[split.test], axis=1)
        tested.update(split.test.tolist())
        for row in np.flatnonzero(errors):
            item, error = int(split.test[row]), int(errors[row])
            wrong[item] += 1
            if item not in kept or error > kept[item][0]:
                kept[item] = error, tuple(np.flatnonzero(prediction.values[row]).tolist())
    order = sorted(kept, key=lambda item: (-wrong[item] / tested[item], -kept[item][0], item))
    return [Mistake(item, kept[item][1], None, wrong[item], tested[item]) for item in order]


def _count_pairs(pairs: Counter[tuple[int, int]], classes: int) -> NDArray[np.int64]:
    matrix = np.zeros((classes, classes), np.int64)
    for pair, number in pairs.items():
        matrix[pair] = number
    return matrix
