"""Learners and scores for items with any number of labels: one-vs-rest logistic regression, neighbours, F1 and AUROC.

Targets are 1 for each label that an item has, [N, C]. Each label is learned by itself.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.datasets.label_sets import find_varied
from app.evaluation.metrics import ProbePrediction, Scores
from app.evaluation.probes import Features, Targets, classify_linearly, reduce_features

_NEIGHBOURS = 5
_LARGEST = 6e4  # contributions are kept as float16
_THRESHOLD = 0.5  # probability from which a label is predicted


def classify_label_sets(train: Features, targets: Targets, test: Features, seed: int) -> ProbePrediction:
    """Fits a logistic regression for each label. Cross-validation for each label chooses its regularization.

    A label that all training items have, or none, has the probability 1 or 0.
    """
    sets = targets.astype(np.int64)
    train, test = reduce_features(train, test)  # once for all labels
    probabilities = np.tile(sets[0].astype(np.float64), (test.shape[0], 1))
    strengths: list[Any] = [None] * sets.shape[1]
    for label in np.flatnonzero(find_varied(sets)):
        prediction = classify_linearly(train, sets[:, label], test, seed)
        assert prediction.scores is not None  # there are two classes
        probabilities[:, label], strengths[label] = prediction.scores, prediction.strength
    return predict_label_sets(probabilities, tuple(strengths))


def find_label_sets_of_neighbours(train: Features, targets: Targets, test: Features, seed: int) -> ProbePrediction:
    """Averages the labels of the five nearest training items by cosine, weighted by their distance."""
    from sklearn.neighbors import KNeighborsRegressor

    count = min(_NEIGHBOURS, len(targets))
    model = KNeighborsRegressor(count, metric="cosine", weights="distance").fit(train, targets.astype(np.float64))
    return predict_label_sets(model.predict(test).reshape(test.shape[0], -1))


def predict_label_sets(
    probabilities: NDArray[np.float64], strengths: tuple[float | None, ...] | None = None
) -> ProbePrediction:
    """Returns the labels with a probability of 0.5 or more. probabilities: [N, C]."""
    values = (probabilities >= _THRESHOLD).astype(np.int64)
    return ProbePrediction(values, strength=strengths, probabilities=probabilities)


def score_label_sets(targets: NDArray[np.int64], prediction: ProbePrediction) -> Scores:
    """Returns micro- and macro-F1, and the mean AUROC of the labels that some test items have and others do not."""
    from sklearn.metrics import f1_score, roc_auc_score

    averages = {f"{name}_f1": name for name in ("micro", "macro")}
    found = {
        metric: float(f1_score(targets, prediction.values, average=average, zero_division=0))
        for metric, average in averages.items()
    }
    varied = np.flatnonzero(find_varied(targets))
    if len(varied) and prediction.probabilities is not None:
        areas = [roc_auc_score(targets[:, label], prediction.probabilities[:, label]) for label in varied]
        found["auroc"] = float(np.mean(areas))
    return found


def contribute_to_auroc(targets: NDArray[np.float64], prediction: ProbePrediction) -> NDArray[np.float64]:
    """Returns what each test item adds to the mean AUROC, [N]. Their mean is the score.

    For one label, an item adds the share of the items of the other kind that it is ranked rightly against (the
    structural components of DeLong et al. 1988, https://doi.org/10.2307/2531595), scaled by its kind's share.
    """
    from scipy.stats import rankdata

    assert prediction.probabilities is not None
    varied = np.flatnonzero(find_varied(targets.astype(np.int64)))
    total = np.zeros(len(targets))
    for label in varied:
        scores, has = prediction.probabilities[:, label], targets[:, label] > 0
        ranks, placed = rankdata(scores), np.empty(len(scores))
        placed[has] = (ranks[has] - rankdata(scores[has])) / np.count_nonzero(~has)
        placed[~has] = 1 - (ranks[~has] - rankdata(scores[~has])) / np.count_nonzero(has)
        area = placed[has].mean()
        shares = np.where(has, has.mean(), 1 - has.mean())
        total += area + (placed - area) / shares
    return np.clip(total / max(len(varied), 1), -_LARGEST, _LARGEST)
