"""The head that an evaluation of items with any number of labels publishes: a logistic regression for each label."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from app.datasets.label_checks import EvaluationData
from app.datasets.label_sets import find_varied
from app.datasets.labelled import Part
from app.evaluation.calibration import Codes, Floats, fit_sigmoid_temperature, measure_ece, scale_sigmoids_by_folds
from app.evaluation.heads import (
    TEST_PART,
    WEAK,
    FittedHead,
    HeldOut,
    LeftOutOutputs,
    choose_folds,
    convert_vectors,
    fit_logistic,
    join_folds,
    standardize_vectors,
)
from app.evaluation.label_sets import predict_label_sets, score_label_sets
from app.evaluation.probes import choose_strength, reduce_features
from app.modalities.classification import score_labels
from app.modalities.probe import ProbeHead
from app.types import Activation, Classifier, ClassifierType

_SEED = 0
_NAMED = 5  # labels that are often missed


def fit_label_set_head(data: EvaluationData, vectors: NDArray[np.float32]) -> FittedHead:
    """Fits a head on the vectors [N, D] of the items, as `fit_head` does, with one output for each label.

    Labels that all training items have, or none, are left out. One temperature is fitted for all labels.
    """
    converted, test = convert_vectors(vectors), data.indices(Part.TEST)
    train = data.indices(Part.TRAIN) if len(test) else np.arange(len(data.items))
    targets = data.targets.astype(np.int64)
    known = np.flatnonzero(find_varied(targets[train]))
    labels, learnt = tuple(data.classes[code] for code in known), targets[np.ix_(train, known)]
    features, mean, scale = standardize_vectors(converted[train])
    reduced = reduce_features(features, features[:1])[0]
    strengths = tuple(choose_strength(reduced, column, _SEED) for column in learnt.T)
    left_out = _leave_out(features, learnt, strengths)
    classifier = Classifier(
        labels=labels,
        type=ClassifierType.MULTI_LABEL,
        activation=Activation.SIGMOID,
        temperature=fit_sigmoid_temperature(left_out.outputs, left_out.targets),
        labelled_items=len(train),
    )
    head = ProbeHead(classifier, mean, scale, *_fit(features, learnt, strengths))
    if len(test):
        logits = head.logits(converted[test])
        held_out = _describe(TEST_PART, labels, logits, score_labels(classifier, logits), targets[np.ix_(test, known)])
    else:
        scaled = scale_sigmoids_by_folds(left_out.outputs, left_out.targets, left_out.folds)
        held_out = _describe(left_out.source, labels, left_out.outputs, scaled, left_out.targets)
    head = ProbeHead(
        classifier.model_copy(update={"ece": held_out.metrics["ece"]}),
        mean,
        scale,
        head.coefficients,
        head.intercepts,
    )
    counts = dict(zip(labels, learnt.sum(0).tolist(), strict=True))
    return FittedHead(head, strengths, held_out, left_out.source, counts)


def _fit(features: Floats, targets: Codes, strengths: Sequence[float]) -> tuple[Floats, Floats]:
    """Returns coefficients [L, D] and intercepts [L]. A label that all items have, or none, has a constant logit."""
    coefficients, intercepts = np.zeros((len(strengths), features.shape[1])), np.zeros(len(strengths))
    for label, strength in enumerate(strengths):
        has = int(targets[:, label].sum())
        if 0 < has < len(targets):
            pair, constants = fit_logistic(features, targets[:, label], strength)
            coefficients[label], intercepts[label] = pair[1], constants[1]
        else:
            intercepts[label] = np.log((has + 1) / (len(targets) - has + 1))
    return coefficients, intercepts


def _leave_out(features: Floats, targets: Codes, strengths: Sequence[float]) -> LeftOutOutputs:
    folds = choose_folds(len(targets))
    outputs = []
    for fold in folds:
        known = np.setdiff1d(np.arange(len(targets)), fold)
        coefficients, intercepts = _fit(features[known], targets[known], strengths)
        outputs.append(features[fold] @ coefficients.T + intercepts)
    return join_folds(outputs, [targets[fold] for fold in folds])


def _describe(source: str, labels: Sequence[str], logits: Floats, probabilities: Floats, targets: Codes) -> HeldOut:
    """Returns the scores of probabilities [N, L]. The calibration error is that of all decisions about a label."""
    prediction = predict_label_sets(probabilities)
    metrics = score_label_sets(targets, prediction)
    right = prediction.values == targets
    before = predict_label_sets(1 / (1 + np.exp(-logits))).probabilities
    assert before is not None
    metrics["ece"] = _measure_ece(probabilities, right)
    totals, found = targets.sum(0), (right & (targets == 1)).sum(0)
    shares = found / np.maximum(totals, 1)
    weak = [code for code in np.argsort(shares, kind="stable") if totals[code] and shares[code] < WEAK]
    weakest = [(labels[code], int(found[code]), int(totals[code])) for code in weak[:_NAMED]]
    return HeldOut(source, len(targets), metrics, (), weakest, _measure_ece(before, right))


def _measure_ece(probabilities: Floats, right: NDArray[np.bool_]) -> float:
    return measure_ece(np.maximum(probabilities, 1 - probabilities).ravel(), right.ravel())
