"""Calibration of probabilities: the temperature of logits, and the expected calibration error."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from app.modalities.classification import softmax

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]

_BINS = 15  # of equal width, as in the paper
_RANGE = (0.05, 20.0)  # of temperatures


def fit_temperature(logits: Floats, targets: Codes) -> float:
    """Returns the number that divides logits [N, L] so that their log loss on targets [N] is least.

    Guo et al. 2017, https://arxiv.org/abs/1706.04599.
    """
    from scipy.optimize import minimize_scalar

    def loss(log_temperature: float) -> float:
        scaled = logits / np.exp(log_temperature)
        return float(np.mean(_log_sums(scaled) - scaled[np.arange(len(targets)), targets]))

    found = minimize_scalar(loss, bounds=tuple(np.log(_RANGE)), method="bounded")
    return float(np.exp(found.x))


def fit_sigmoid_temperature(logits: Floats, targets: Codes) -> float:
    """Returns the number that divides logits so that the log loss of their sigmoids on targets (0, 1) is least.

    logits, targets: [N, L]. Same source as `fit_temperature`.
    """
    from scipy.optimize import minimize_scalar

    signed = np.where(targets == 1, -logits, logits)
    found = minimize_scalar(
        lambda log_temperature: float(np.logaddexp(0, signed / np.exp(log_temperature)).mean()),
        bounds=tuple(np.log(_RANGE)),
        method="bounded",
    )
    return float(np.exp(found.x))


def measure_ece(confidences: Floats, correct: NDArray[np.bool_]) -> float:
    """Returns the expected calibration error, in [0, 1]. Same source as `fit_temperature`.

    confidences: probability of each item's most probable label. correct: whether that is the true label.
    Items are in 15 bins by their confidence. The error is the mean over items of the difference between the accuracy
    and the mean confidence of an item's bin.
    """
    bins = np.minimum((confidences * _BINS).astype(int), _BINS - 1)
    gaps = [abs(float(np.sum(correct[bins == each] - confidences[bins == each]))) for each in np.unique(bins)]
    return sum(gaps) / len(confidences)


def scale_by_folds(logits: Floats, targets: Codes, folds: Sequence[NDArray[np.int64]]) -> Floats:
    """Returns probabilities of which each has a temperature that was fitted without its own fold.

    folds: indices of the items of each fold. A single fold is divided by its own temperature.
    """
    scaled = np.empty_like(logits)
    for fold in folds:
        others = np.setdiff1d(np.arange(len(targets)), fold) if len(folds) > 1 else fold
        scaled[fold] = logits[fold] / fit_temperature(logits[others], targets[others])
    return softmax(scaled)


def scale_sigmoids_by_folds(logits: Floats, targets: Codes, folds: Sequence[NDArray[np.int64]]) -> Floats:
    """Returns the same for outputs with a sigmoid each: logits and targets [N, L] → probabilities [N, L]."""
    scaled = np.empty_like(logits)
    for fold in folds:
        others = np.setdiff1d(np.arange(len(targets)), fold) if len(folds) > 1 else fold
        scaled[fold] = logits[fold] / fit_sigmoid_temperature(logits[others], targets[others])
    return np.asarray(np.exp(-np.logaddexp(0, -scaled)))


def _log_sums(logits: Floats) -> Floats:
    """Returns the logarithm of the sum of exponentials of each row."""
    largest = logits.max(1)
    return np.asarray(largest + np.log(np.exp(logits - largest[:, None]).sum(1)))
