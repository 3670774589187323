"""The learners and the scores for each kind of labels: classes, any number of labels, numbers."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from app.evaluation.label_sets import (
    classify_label_sets,
    contribute_to_auroc,
    find_label_sets_of_neighbours,
    score_label_sets,
)
from app.evaluation.metrics import ProbePrediction, Scores, contribute, score_classes, score_numbers
from app.evaluation.probes import (
    Learner,
    Targets,
    classify_by_neighbours,
    classify_linearly,
    regress_by_neighbours,
    regress_linearly,
)
from app.types import LabelKind


@dataclass(frozen=True)
class TargetKind:
    """metric: the one that is compared. score: of predictions of test items, for so many classes.

    contribute: (targets, prediction) → what each test item adds to the metric, [N].
    """

    metric: str
    linear: Learner
    neighbours: Learner
    score: Callable[[Targets, ProbePrediction, int], Scores]
    contribute: Callable[[NDArray[np.float64], ProbePrediction], NDArray[np.float64]]


def _score_classes(targets: Targets, prediction: ProbePrediction, classes: int) -> Scores:
    """The test part may have two of several classes; scores are of the second of two classes altogether."""
    return score_classes(targets.astype(np.int64), replace(prediction, scores=None) if classes > 2 else prediction)


def _score_label_sets(targets: Targets, prediction: ProbePrediction, classes: int) -> Scores:
    return score_label_sets(targets.astype(np.int64), prediction)


def _score_numbers(targets: Targets, prediction: ProbePrediction, classes: int) -> Scores:
    return score_numbers(targets.astype(np.float64), prediction)


TARGET_KINDS: dict[LabelKind, TargetKind] = {
    "classes": TargetKind(
        "accuracy", classify_linearly, classify_by_neighbours, _score_classes, partial(contribute, metric="accuracy")
    ),
    "labels": TargetKind(
        "auroc", classify_label_sets, find_label_sets_of_neighbours, _score_label_sets, contribute_to_auroc
    ),
    "numbers": TargetKind(
        "spearman", regress_linearly, regress_by_neighbours, _score_numbers, partial(contribute, metric="spearman")
    ),
}
