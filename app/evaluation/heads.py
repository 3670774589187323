"""The head that an evaluation publishes: a linear probe with all labels, its calibration and its held-out scores."""

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.datasets.label_checks import EvaluationData
from app.datasets.labelled import Part
from app.evaluation.calibration import Codes, Floats, fit_temperature, measure_ece, scale_by_folds
from app.evaluation.metrics import ProbePrediction, Scores, score_classes, score_numbers
from app.evaluation.probes import PENALTIES, choose_strength, reduce_features
from app.evaluation.results import Findings
from app.modalities.classification import score_labels, softmax
from app.modalities.probe import ProbeHead
from app.types import Activation, Classifier, ClassifierType

TEST_PART = "the test part"
_SEED = 0
_FOLDS = 5
_MANY = 10_000  # items of which one fifth is left out once, instead of each fifth
_TOLERANCE, _ITERATIONS = 1e-5, 2_000
_EXACT = 2**26  # numbers of vectors up to which they are computed in float64
_FEWEST = 20  # items of a validation part that a temperature is fitted on
_NAMED = 5  # confusions, and classes that are often missed
WEAK = 0.7  # share of a class's items that are recognized, below which it is named

Vectors = NDArray[Any]


@dataclass(frozen=True)
class HeldOut:
    """Predictions of items that the predicting head was not fitted on.

    source: the items in words. confusions: (true label, predicted label, items), the most frequent first.
    weakest: (label, recognized items, items) of the classes that are often missed. ece_before: the calibration error
    without a temperature. The last three are those of classes.
    """

    source: str
    items: int
    metrics: Scores
    confusions: Sequence[tuple[str, str, int]] = ()
    weakest: Sequence[tuple[str, int, int]] = ()
    ece_before: float | None = None


@dataclass(frozen=True)
class FittedHead:
    """A head, and how it was fitted.

    strength: C of the logistic regression, or of that of each label; alpha of the ridge regression.
    scaled_on: the items that the temperature was fitted on, in words; None without a temperature.
    counts: training items of each label; empty for numbers.
    """

    head: ProbeHead
    strength: float | tuple[float, ...]
    held_out: HeldOut | None
    scaled_on: str | None
    counts: dict[str, int]


@dataclass(frozen=True)
class LeftOutOutputs:
    """Outputs for training items, each by a head that was fitted without it. folds: indices into the others."""

    outputs: Floats
    targets: NDArray[Any]
    folds: Sequence[NDArray[np.int64]]

    @property
    def source(self) -> str:
        if len(self.folds) == 1:
            return "a fifth of the training items, which was left out once"
        return f"all training items, each left out once in {len(self.folds)} folds"


def choose_model(findings: Findings) -> str:
    """Returns the model whose linear probe has the best score with the most labels."""

    def score(model: str) -> float:
        result = findings.find("linear_probe", model, findings.counts[-1])
        interval = result.interval(findings.metric) if result else None
        return interval.mean if interval else -np.inf

    return max(findings.models, key=score)


def fit_head(
    data: EvaluationData, vectors: NDArray[np.float32], label: str, validation: NDArray[np.float32] | None = None
) -> FittedHead:
    """Fits a head on the vectors [N, D] of the items: of the training part, or of all items if parts are drawn.

    A temperature is fitted on training items that are left out of the fit. The scores are those of the test part; if
    there is none, those of the items that are left out.
    label: the name of the only output of a regression. validation: the vectors of `data.validation`, which the
    temperature of classes is fitted on instead, if there are enough.
    """
    vectors = convert_vectors(vectors)
    test = data.indices(Part.TEST)
    train = data.indices(Part.TRAIN) if len(test) else np.arange(len(data.items))
    if data.has_classes:
        return _fit_classes(data, vectors, train, test, validation)
    return _fit_numbers(data, vectors, train, test, label)


def convert_vectors(vectors: NDArray[np.float32]) -> Vectors:
    """Returns vectors in the precision that a head is fitted in."""
    return vectors.astype(np.float64 if vectors.size <= _EXACT else np.float32)


def _fit_classes(
    data: EvaluationData, vectors: Vectors, train: Codes, test: Codes, validation: Vectors | None
) -> FittedHead:
    features, mean, scale = standardize_vectors(vectors[train])
    codes, targets, counts = np.unique(data.targets[train].astype(np.int64), return_inverse=True, return_counts=True)
    strength = choose_strength(reduce_features(features, features[:1])[0], targets, _SEED)
    left_out = _leave_out_classes(features, targets, strength)
    labels = tuple(data.classes[int(code)] for code in codes)
    plain = Classifier(
        labels=labels,
        type=ClassifierType.SINGLE_LABEL,
        activation=Activation.SOFTMAX,
        labelled_items=len(train),
    )
    head = ProbeHead(plain, mean, scale, *fit_logistic(features, targets, strength))
    temperature, scaled_on = _choose_temperature(head, data, validation, left_out)
    classifier = plain.model_copy(update={"temperature": temperature})
    head = replace(head, classifier=classifier)
    held_out = None
    if len(test):
        logits = head.logits(vectors[test])
        judged = _Judged(logits, score_labels(classifier, logits), data.targets[test].astype(np.int64))
        held_out = judged.describe(TEST_PART, data.classes, codes)
    elif left_out:
        probabilities = scale_by_folds(left_out.outputs, left_out.targets, left_out.folds)
        judged = _Judged(left_out.outputs, probabilities, codes[left_out.targets])
        held_out = judged.describe(left_out.source, data.classes, codes)
    if held_out:
        head = replace(head, classifier=classifier.model_copy(update={"ece": held_out.metrics["ece"]}))
    by_label = dict(zip(labels, counts.tolist(), strict=True))
    return FittedHead(head, strength, held_out, scaled_on, by_label)


def _choose_temperature(
    head: ProbeHead, data: EvaluationData, validation: Vectors | None, left_out: LeftOutOutputs | None
) -> tuple[float, str | None]:
    """Returns the temperature, and the items that it was fitted on, in words.

    They are those of the validation part with labels that the head knows, or else training items that are left out.
    """
    places = {label: place for place, label in enumerate(head.classifier.labels)}
    known = [number for number, item in enumerate(data.validation) if item.label in places]
    if validation is not None and len(known) >= _FEWEST:
        targets = np.array([places[data.validation[number].label] for number in known])
        return fit_temperature(head.logits(validation[known]), targets), "the validation part"
    return (fit_temperature(left_out.outputs, left_out.targets), left_out.source) if left_out else (1.0, None)


@dataclass(frozen=True)
class _Judged:
    """Logits and probabilities [N, L] of held-out items, and their true classes [N] as codes of the data."""

    logits: Floats
    probabilities: Floats
    targets: Codes

    def describe(self, source: str, classes: Sequence[str], codes: Codes) -> HeldOut:
        """classes: all labels of the data. codes: those of the head's outputs."""
        predicted = codes[self.probabilities.argmax(1)]
        correct = predicted == self.targets
        scores = self.probabilities[:, 1] if len(classes) == len(codes) == 2 else None
        metrics = score_classes(self.targets, ProbePrediction(predicted, scores=scores))
        metrics["ece"] = measure_ece(self.probabilities.max(1), correct)
        before = softmax(self.logits).max(1)
        wrong = Counter(zip(self.targets[~correct].tolist(), predicted[~correct].tolist(), strict=True))
        confusions = [(classes[a], classes[b], count) for (a, b), count in wrong.most_common(_NAMED)]
        totals = np.bincount(self.targets, minlength=len(classes))
        found = np.bincount(self.targets[correct], minlength=len(classes))
        shares = found / np.maximum(totals, 1)
        weak = [int(code) for code in np.argsort(shares, kind="stable") if totals[code] and shares[code] < WEAK]
        weakest = [(classes[code], int(found[code]), int(totals[code])) for code in weak[:_NAMED]]
        return HeldOut(source, len(self.targets), metrics, confusions, weakest, measure_ece(before, correct))


def _leave_out_classes(features: Vectors, targets: Codes, strength: float) -> LeftOutOutputs | None:
    """Returns None where no class has two items. The only item of a class is never left out."""
    from sklearn.model_selection import StratifiedKFold

    counts = np.bincount(targets)
    several = np.flatnonzero(counts[targets] >= 2)
    if len(several) == 0:
        return None
    cutter = StratifiedKFold(min(_FOLDS, int(counts.max())), shuffle=True, random_state=_SEED)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # about classes with fewer items than folds
        folds = [several[fold] for _, fold in cutter.split(several, targets[several])]
    folds = folds[:1] if len(targets) > _MANY else folds
    outputs = []
    for fold in folds:
        known = np.setdiff1d(np.arange(len(targets)), fold)
        coefficients, intercepts = fit_logistic(features[known], targets[known], strength)
        outputs.append(features[fold] @ coefficients.T + intercepts)
    return join_folds(outputs, [targets[fold] for fold in folds])


def fit_logistic(features: Vectors, targets: Codes, strength: float) -> tuple[Floats, Floats]:
    """Returns coefficients [L, D] and intercepts [L]. scikit-learn has one output for two classes; here both have one.

    The codes of the classes are 0 to L - 1, and each has an item.
    """
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=strength, tol=_TOLERANCE, max_iter=_ITERATIONS).fit(features, targets)
    coefficients, intercepts = np.asarray(model.coef_, np.float64), np.asarray(model.intercept_, np.float64)
    if len(coefficients) > 1:
        return coefficients, intercepts
    return np.concatenate([np.zeros_like(coefficients), coefficients]), np.concatenate([[0.0], intercepts])


def _fit_numbers(data: EvaluationData, vectors: Vectors, train: Codes, test: Codes, label: str) -> FittedHead:
    from sklearn.linear_model import RidgeCV

    features, mean, scale = standardize_vectors(vectors[train])
    targets = data.targets[train].astype(np.float64)
    model = RidgeCV(alphas=PENALTIES).fit(features, targets)
    classifier = Classifier(
        labels=(label,), type=ClassifierType.REGRESSION, activation=Activation.NONE, labelled_items=len(train)
    )
    coefficients, intercepts = np.atleast_2d(model.coef_), np.atleast_1d(model.intercept_)
    head = ProbeHead(classifier, mean, scale, coefficients, intercepts)
    if len(test):
        source, predicted, true = TEST_PART, head.logits(vectors[test])[:, 0], data.targets[test]
    else:
        left_out = _leave_out_numbers(features, targets, float(model.alpha_))
        source, predicted, true = left_out.source, left_out.outputs, left_out.targets
    metrics = score_numbers(true.astype(np.float64), ProbePrediction(predicted))
    return FittedHead(head, float(model.alpha_), HeldOut(source, len(true), metrics), None, {})


def _leave_out_numbers(features: Vectors, targets: Floats, penalty: float) -> LeftOutOutputs:
    from sklearn.linear_model import Ridge

    folds = choose_folds(len(targets))
    outputs = []
    for fold in folds:
        known = np.setdiff1d(np.arange(len(targets)), fold)
        outputs.append(Ridge(penalty).fit(features[known], targets[known]).predict(features[fold]))
    return join_folds(outputs, [targets[fold] for fold in folds])


def choose_folds(items: int) -> list[NDArray[np.int64]]:
    """Returns the indices of items that are left out: each once; of many, a fifth."""
    folds = np.array_split(np.random.default_rng(_SEED).permutation(items), min(_FOLDS, items))
    return folds[:1] if items > _MANY else folds


def join_folds(outputs: Sequence[Floats], targets: Sequence[NDArray[Any]]) -> LeftOutOutputs:
    ends = np.cumsum([len(each) for each in targets])
    places = np.split(np.arange(ends[-1]), ends[:-1])
    return LeftOutOutputs(np.concatenate(outputs), np.concatenate(targets), places)


def standardize_vectors(vectors: Vectors) -> tuple[Vectors, Floats, Floats]:
    """Returns the vectors with mean 0 and deviation 1 in each dimension, the means and the deviations."""
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(vectors)
    return scaler.transform(vectors), np.asarray(scaler.mean_, np.float64), np.asarray(scaler.scale_, np.float64)
