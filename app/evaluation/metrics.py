"""Scores of predictions, and their means with intervals over seeds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from app.modalities.text.rank_correlation import correlate_ranks

Scores = dict[str, float]
Strength: TypeAlias = float | tuple[float | None, ...] | None
_CONFIDENCE = 0.95


@dataclass(frozen=True)
class ProbePrediction:
    """Predictions of the test part.

    values: the index of a class, or a number, of each item. scores: of the second of two classes; None for others.
    strength: the regularization that was chosen, C or alpha; None for a method without any.
    probabilities: of the predicted classes; None for numbers.

    For items with any number of labels, values (0 or 1) and probabilities are [N, C], and each label has a strength.
    """

    values: NDArray[np.int64] | NDArray[np.float64]
    scores: NDArray[np.float64] | None = None
    strength: Strength = None
    probabilities: NDArray[np.float64] | None = None


class Interval(NamedTuple):
    """low, high: the 95 % interval of the mean by Student's t; None for a single run."""

    mean: float
    low: float | None
    high: float | None
    runs: int


def score_classes(targets: NDArray[np.int64], prediction: ProbePrediction) -> Scores:
    """Returns accuracy, macro-F1, and AUROC where scores of two classes are known and both are there."""
    from sklearn.metrics import accuracy_score, f1_score, roc_auc_score

    found = {
        "accuracy": float(accuracy_score(targets, prediction.values)),
        "macro_f1": float(f1_score(targets, prediction.values, average="macro", zero_division=0)),
    }
    if prediction.scores is not None and len(np.unique(targets)) == 2:
        found["auroc"] = float(roc_auc_score(targets, prediction.scores))
    return found


def score_numbers(targets: NDArray[np.float64], prediction: ProbePrediction) -> Scores:
    """Returns Spearman's rank correlation, 0 for constant predictions, and the root of the mean squared error."""
    return {
        "spearman": correlate_ranks(targets, prediction.values),
        "rmse": float(np.sqrt(np.mean((targets - prediction.values) ** 2))),
    }


def contribute(targets: NDArray[np.float64], prediction: ProbePrediction, metric: str) -> NDArray[np.float64]:
    """Returns what each test item adds to a metric, [N]. Their mean is the score, and their spread its sampling error.

    Of accuracy, whether the item is right. Of Spearman's correlation r, r plus the influence of the item on the
    correlation of ranks: z_x z_y - r (z_x² + z_y²) / 2 (Devlin et al. 1975, https://doi.org/10.1093/biomet/62.3.531).
    """
    from scipy.stats import rankdata, zscore

    if metric == "accuracy":
        return np.asarray(targets == prediction.values, np.float64)
    if np.ptp(prediction.values) == 0 or np.ptp(targets) == 0:
        return np.zeros(len(targets))
    first, second = zscore(rankdata(targets)), zscore(rankdata(prediction.values))
    product = first * second
    correlation = product.mean()
    found: NDArray[np.float64] = correlation + product - correlation * (first**2 + second**2) / 2
    return found


def combine(seeds: Interval, contributions: NDArray[np.float64]) -> Interval:
    """Returns the interval of a mean over seeds, widened by the sampling error of the test items.

    seeds: the interval over seeds. contributions: [N], of each test item to the mean; NaN for items that are none.
    """
    from scipy.stats import t

    known = contributions[~np.isnan(contributions)]
    if len(known) < 2:
        return seeds
    error = float(np.std(known, ddof=1) / np.sqrt(len(known)) * t.ppf((1 + _CONFIDENCE) / 2, len(known) - 1))
    if seeds.high is not None:
        error = float(np.hypot(error, seeds.high - seeds.mean))
    return seeds._replace(low=seeds.mean - error, high=seeds.mean + error)


def score_clusters(targets: NDArray[np.int64], clusters: NDArray[np.int64]) -> Scores:
    """Returns the normalized mutual information, and the accuracy after the best matching of clusters to classes."""
    from scipy.optimize import linear_sum_assignment
    from sklearn.metrics import normalized_mutual_info_score
    from sklearn.metrics.cluster import contingency_matrix

    table = contingency_matrix(targets, clusters)
    rows, columns = linear_sum_assignment(-table)
    return {
        "nmi": float(normalized_mutual_info_score(targets, clusters)),
        "accuracy": float(table[rows, columns].sum() / len(targets)),
    }


def summarize(values: Sequence[float]) -> Interval:
    """Returns the mean of the runs with its interval."""
    from scipy.stats import t

    mean, runs = float(np.mean(values)), len(values)
    if runs < 2:
        return Interval(mean, None, None, runs)
    error = float(np.std(values, ddof=1) / np.sqrt(runs) * t.ppf((1 + _CONFIDENCE) / 2, runs - 1))
    return Interval(mean, mean - error, mean + error, runs)
