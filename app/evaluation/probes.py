"""Learners on features: linear probe, nearest neighbours, k-means.

Features are dense or sparse matrices [N, D]. Each function is deterministic for its seed.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from app.evaluation.metrics import ProbePrediction
from app.evaluation.vectors import normalize

Features: TypeAlias = Any  # NDArray[np.floating] or scipy.sparse.csr_matrix
Targets: TypeAlias = NDArray[np.int64] | NDArray[np.float64]
# (features and targets of the training items, features of the test items, seed) → predictions
Learner: TypeAlias = Callable[[Features, Targets, Features, int], ProbePrediction]

STRENGTHS = tuple(10.0**power for power in range(-4, 4))  # C of the logistic regression
PENALTIES = tuple(10.0**power for power in range(-3, 6))  # alpha of the ridge regression
_DEFAULT_STRENGTH = 1.0  # where a class has one item, so that nothing can be left out
_FOLDS = 5
_MANY = 1_000  # items from which one part of a fifth is left out, instead of five
_ROUGH, _FINE = (1e-3, 200), (1e-5, 2_000)  # tolerance and iterations, to choose and to fit
_NEIGHBOURS = 5
_ZERO = 1e-12  # squared length below which standardized features are all zero
_CLUSTERED = 20_000  # items at most that k-means is fitted on
_RESTARTS = 4
_PIECE = 4_096  # test items whose features are reduced at once
_ITERATIONS = 1_000  # of a ridge regression on sparse features


def classify_linearly(train: Features, targets: Targets, test: Features, seed: int) -> ProbePrediction:
    """Fits a logistic regression. Cross-validation on the training items alone chooses its regularization."""
    train, test = reduce_features(train, test)
    strength = choose_strength(train, targets, seed)
    prediction = _predict_classes(_logistic(strength, *_FINE).fit(train, targets), test)
    return replace(prediction, strength=strength)


def reduce_features(train: Features, test: Features) -> tuple[Features, Features]:
    """Expresses features in as many dimensions as there are training items, if these are fewer.

    The weights of a regression with an L2 penalty are a sum of training items, so its predictions stay the same.
    """
    if train.shape[0] >= min(train.shape[1], _MANY):
        return train, test
    values, basis = np.linalg.eigh(_dense(train @ train.T))
    if values[-1] <= _ZERO:  # all items are equal
        return train, test
    kept = values > values[-1] * 1e-10
    scale = np.sqrt(values[kept])
    pieces = [test[start : start + _PIECE] for start in range(0, test.shape[0], _PIECE)]
    reduced = [_dense(piece @ train.T) @ basis[:, kept] / scale for piece in pieces]
    return basis[:, kept] * scale, np.concatenate(reduced)


def _dense(matrix: Features) -> NDArray[np.float64]:
    return np.asarray(matrix.todense() if hasattr(matrix, "todense") else matrix, np.float64)


def choose_strength(train: Features, targets: Targets, seed: int) -> float:
    """Returns the C of `STRENGTHS` with the least log loss on training items that are left out.

    It tries them from the strongest regularization on, until the loss grows.
    """
    codes, counts = np.unique(targets, return_counts=True)
    if np.count_nonzero(counts >= 2) < 2:
        return _DEFAULT_STRENGTH
    several = np.flatnonzero(np.isin(targets, codes[counts >= 2]))
    train, targets = train[several], targets[several]
    cuts = _cut(targets, int(counts[counts >= 2].min()), seed)
    models = [_logistic(STRENGTHS[0], *_ROUGH, warm_start=True) for _ in cuts]
    losses: list[float] = []
    for strength in STRENGTHS:
        found = [
            _loss(model.set_params(C=strength).fit(train[fitted], targets[fitted]), train[left_out], targets[left_out])
            for model, (fitted, left_out) in zip(models, cuts, strict=True)
        ]
        losses.append(float(np.mean(found)))
        if len(losses) > 1 and losses[-1] > losses[-2]:
            break
    return STRENGTHS[int(np.argmin(losses))]


def _cut(targets: Targets, fewest: int, seed: int) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Returns the training items to fit and to leave out. fewest: items of the smallest class."""
    from sklearn.model_selection import StratifiedKFold, StratifiedShuffleSplit

    if len(targets) < max(_MANY, _FOLDS * len(np.unique(targets))):  # else a fifth has an item of each class
        cuts = StratifiedKFold(min(_FOLDS, fewest), shuffle=True, random_state=seed)
    else:
        cuts = StratifiedShuffleSplit(1, test_size=0.2, random_state=seed)
    return list(cuts.split(np.zeros(len(targets)), targets))


def _loss(model: Any, features: Features, targets: Targets) -> float:
    from sklearn.metrics import log_loss

    known = np.isin(targets, model.classes_)
    return float(log_loss(targets[known], model.predict_proba(features)[known], labels=model.classes_))


def _logistic(strength: float, tolerance: float, iterations: int, *, warm_start: bool = False) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=strength, tol=tolerance, max_iter=iterations, warm_start=warm_start)


def regress_linearly(train: Features, targets: Targets, test: Features, seed: int) -> ProbePrediction:
    """Fits a ridge regression. Cross-validation on the training items alone chooses its penalty.

    Few items are left out one by one. Of many, a fifth is: the closed form of leaving out one of N needs the products
    of all pairs of sparse items, N² numbers.
    """
    from sklearn.linear_model import RidgeCV

    if len(targets) >= _MANY:
        penalty = choose_penalty(train, targets, seed)
        return ProbePrediction(_ridge(penalty).fit(train, targets).predict(test), strength=penalty)
    train, test = reduce_features(train, test)
    model = RidgeCV(alphas=PENALTIES).fit(train, targets)
    return ProbePrediction(model.predict(test), strength=float(model.alpha_))


def choose_penalty(train: Features, targets: Targets, seed: int) -> float:
    """Returns the alpha of `PENALTIES` with the least squared error on a fifth of the items, which is left out.

    It tries them from the largest on, until the error grows.
    """
    order = np.random.default_rng(seed).permutation(len(targets))
    left_out, fitted = np.split(order, [len(order) // _FOLDS])
    known, asked = train[fitted], train[left_out]
    errors: list[float] = []
    for penalty in reversed(PENALTIES):
        predicted = _ridge(penalty).fit(known, targets[fitted]).predict(asked)
        errors.append(float(np.mean((predicted - targets[left_out]) ** 2)))
        if len(errors) > 1 and errors[-1] > errors[-2]:
            break
    return PENALTIES[-1 - int(np.argmin(errors))]


def _ridge(penalty: float) -> Any:
    """Returns a ridge regression. It solves sparse systems by conjugate gradients, in memory of the order of N + D."""
    from sklearn.linear_model import Ridge

    return Ridge(alpha=penalty, tol=1e-6, max_iter=_ITERATIONS)


def classify_by_neighbours(train: Features, targets: Targets, test: Features, seed: int) -> ProbePrediction:
    """Counts the nearest training items by cosine, as many as a class has on average, at most five."""
    from sklearn.neighbors import KNeighborsClassifier

    count = max(1, min(_NEIGHBOURS, len(targets) // len(np.unique(targets))))
    model = KNeighborsClassifier(count, metric="cosine", weights="distance").fit(train, targets)
    return _predict_classes(model, test)


def regress_by_neighbours(train: Features, targets: Targets, test: Features, seed: int) -> ProbePrediction:
    """Averages the numbers of the five nearest training items by cosine."""
    from sklearn.neighbors import KNeighborsRegressor

    count = min(_NEIGHBOURS, len(targets))
    model = KNeighborsRegressor(count, metric="cosine", weights="distance").fit(train, targets)
    return ProbePrediction(model.predict(test))


def _predict_classes(model: Any, test: Features) -> ProbePrediction:
    shares = model.predict_proba(test)
    scores = shares[:, 1] if shares.shape[1] == 2 else None
    return ProbePrediction(model.classes_[shares.argmax(1)], scores, probabilities=shares.max(1))


def find_clusters(vectors: NDArray[np.float32], clusters: int, seed: int) -> NDArray[np.int64]:
    """Returns the cluster of each vector, by k-means on vectors of length 1. It sees no labels."""
    from sklearn.cluster import KMeans

    unit = normalize(vectors)
    chosen = np.random.default_rng(seed).permutation(len(unit))[:_CLUSTERED]
    model = KMeans(clusters, n_init=_RESTARTS, random_state=seed).fit(unit[np.sort(chosen)])
    return np.asarray(model.predict(unit), np.int64)


def standardize(train: NDArray[np.float32], test: NDArray[np.float32]) -> tuple[Features, Features]:
    """Scales each dimension by the mean and the deviation of the training items."""
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(train)
    return scaler.transform(train), scaler.transform(test)
