"""Heads that are published: equal to scikit-learn's, calibrated on left-out items, with honest scores."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.metrics import accuracy_score, f1_score, log_loss
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from app.datasets.label_checks import EvaluationData, check_labels
from app.datasets.labelled import LabelledItem, LabelledItems, Part, collect_items
from app.evaluation.calibration import fit_sigmoid_temperature, fit_temperature, measure_ece, scale_by_folds
from app.evaluation.head_summary import describe_head, describe_weaknesses
from app.evaluation.heads import TEST_PART, choose_model, fit_head
from app.evaluation.label_set_heads import fit_label_set_head
from app.evaluation.probes import PENALTIES
from app.evaluation.results import Findings, Result
from app.modalities.classification import score_labels, softmax
from app.types import ClassifierType

DIMENSIONS = 6


def make_data(labels: Sequence[str], parts: Sequence[Part] | None = None) -> EvaluationData:
    parts = parts or [Part.EITHER] * len(labels)
    pairs = zip(labels, parts, strict=True)
    return check_labels(
        LabelledItems([LabelledItem(f"text {n}", label, part, f"line {n}") for n, (label, part) in enumerate(pairs)])
    )


def make_vectors(data: EvaluationData, noise: float = 1.0) -> np.ndarray:
    rng = np.random.default_rng(3)
    centers = rng.normal(size=(max(len(data.classes), 1), DIMENSIONS))
    base = centers[data.targets] if data.has_classes else data.targets[:, None] * centers
    return (base + noise * rng.normal(size=base.shape)).astype(np.float32)


@pytest.mark.parametrize("classes", [2, 3])
def test_a_head_equals_scikit_learn_and_is_scored_on_the_test_part(classes: int) -> None:
    parts = [Part.TEST if n // classes % 3 == 0 else Part.TRAIN for n in range(90)]
    data = make_data(["abc"[n % classes] for n in range(90)], parts)
    vectors = make_vectors(data)
    fitted = fit_head(data, vectors, "label")
    train, test = data.indices(Part.TRAIN), data.indices(Part.TEST)

    head, classifier = fitted.head, fitted.head.classifier
    model = make_pipeline(StandardScaler(), LogisticRegression(C=fitted.strength, tol=1e-5, max_iter=2000))
    model.fit(vectors[train].astype(np.float64), data.targets[train])
    plain = classifier.model_copy(update={"temperature": 1.0})
    expected = model.predict_proba(vectors.astype(np.float64))
    np.testing.assert_allclose(score_labels(plain, head.logits(vectors)), expected, atol=1e-5)

    assert classifier.labels == data.classes and classifier.labelled_items == len(train) == 60
    assert fitted.held_out is not None and (fitted.held_out.source, fitted.held_out.items) == (TEST_PART, 30)
    predicted = expected[test].argmax(1)
    assert fitted.held_out.metrics["accuracy"] == pytest.approx(accuracy_score(data.targets[test], predicted))
    found = score_labels(classifier, head.logits(vectors[test]))
    assert classifier.ece == pytest.approx(measure_ece(found.max(1), predicted == data.targets[test]))
    assert fitted.scaled_on == "all training items, each left out once in 5 folds"
    assert fitted.counts == dict.fromkeys(data.classes, 60 // classes)


def test_without_a_test_part_all_items_are_fitted_and_left_out_ones_are_scored() -> None:
    data = make_data(["ab"[n % 2] for n in range(40)])
    fitted = fit_head(data, make_vectors(data, noise=3.0), "label")
    assert fitted.head.classifier.labelled_items == 40
    assert fitted.held_out is not None and fitted.held_out.items == 40
    assert "left out" in fitted.held_out.source
    assert fitted.held_out.metrics["accuracy"] < 1.0, "a score of the items that the head was fitted on"
    assert sum(items for _, _, items in fitted.held_out.confusions) == pytest.approx(
        40 * (1 - fitted.held_out.metrics["accuracy"])
    )


def test_classes_with_one_item_are_fitted_and_never_left_out() -> None:
    data = make_data([*["a", "b"] * 6, "rare"])
    fitted = fit_head(data, make_vectors(data), "label")
    assert fitted.head.classifier.labels == ("a", "b", "rare")
    assert fitted.held_out is not None and fitted.held_out.items == 12


def test_one_item_a_class_is_not_calibrated() -> None:
    data = make_data(["a", "b", "c", "a", "b"], [*[Part.TRAIN] * 3, *[Part.TEST] * 2])
    fitted = fit_head(data, make_vectors(data), "label")
    assert (fitted.head.classifier.temperature, fitted.scaled_on) == (1.0, None)


def test_a_regression_has_one_output() -> None:
    numbers = [f"{n * 0.5}" for n in range(60)]
    data = make_data(numbers)
    vectors = make_vectors(data)
    fitted = fit_head(data, vectors, "fitness")
    classifier = fitted.head.classifier
    assert (classifier.labels, classifier.type, classifier.ece) == (("fitness",), ClassifierType.REGRESSION, None)
    model = make_pipeline(StandardScaler(), RidgeCV(alphas=PENALTIES)).fit(vectors.astype(np.float64), data.targets)
    expected = model.predict(vectors.astype(np.float64))
    np.testing.assert_allclose(score_labels(classifier, fitted.head.logits(vectors))[:, 0], expected, atol=1e-5)
    assert fitted.held_out is not None and fitted.held_out.metrics.keys() == {"spearman", "rmse"}


def test_the_temperature_has_the_least_loss() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(4000, 3)) * 2
    targets = np.array([rng.choice(3, p=row) for row in softmax(logits)])
    temperature = fit_temperature(logits * 5, targets)  # five times too sure
    assert temperature == pytest.approx(5, rel=0.1)
    losses = [log_loss(targets, softmax(logits * 5 / each)) for each in (temperature, 4.0, 6.0)]
    assert losses[0] == min(losses)
    folds = np.array_split(np.arange(len(targets)), 4)
    scaled = scale_by_folds(logits * 5, targets, folds)
    assert measure_ece(scaled.max(1), scaled.argmax(1) == targets) < 0.03


def test_the_calibration_error_is_the_mean_gap_of_the_bins() -> None:
    confidences, correct = np.array([0.9, 0.92, 0.55, 0.5]), np.array([True, False, True, False])
    # 0.9 and 0.92 share a bin (13 of 15), 0.55 is in bin 8 and 0.5 in bin 7.
    expected = (abs(1 - 1.82) + abs(1 - 0.55) + abs(0 - 0.5)) / 4
    assert measure_ece(confidences, correct) == pytest.approx(expected)
    assert measure_ece(np.ones(3), np.ones(3, bool)) == 0


def make_findings(data: EvaluationData, probes: dict[str, list[float]], baseline: list[float]) -> Findings:
    findings = Findings(data, "accuracy", "TF-IDF", list(probes), ["all"])
    for model, values in probes.items():
        findings.results.append(Result("linear_probe", model, "all", 10.0, [{"accuracy": each} for each in values]))
    findings.results.append(Result("baseline", None, "all", 10.0, [{"accuracy": each} for each in baseline]))
    return findings


def test_the_best_model_is_chosen_and_its_weaknesses_are_named() -> None:
    data = make_data([*["a", "b"] * 12, "c", "c", "c"])
    findings = make_findings(data, {"one@1": [0.6, 0.7, 0.65], "two@1": [0.7, 0.8, 0.75]}, [0.9, 0.95, 0.92])
    assert choose_model(findings) == "two@1"
    fitted = fit_head(data, make_vectors(data, noise=4.0), "label")
    said = describe_weaknesses(fitted, findings, "two@1")
    assert said[0].startswith("With the most labels, the classifier is worse than TF-IDF without a model: -0.1")
    assert "Labels with fewer than 10 training items: c (3)." in said
    assert any("recognizes" in each for each in said)
    assert "The scores are rough: they are those of 27 held-out items." in said

    described = describe_head(fitted, "two@1", said)
    assert described["training_items"] == {"a": 12, "b": 12, "c": 3}
    assert described["held_out"]["metrics"]["ece"] == fitted.head.classifier.ece


@pytest.mark.parametrize("tested", [True, False])
def test_a_head_of_label_sets_equals_scikit_learn_label_by_label(tested: bool) -> None:
    rng = np.random.default_rng(5)
    vectors = rng.normal(size=(120, DIMENSIONS)).astype(np.float32)
    sets = (vectors[:, :3] + 0.5 * rng.normal(size=(120, 3)) > [0.0, 0.5, 9.0]).astype(int)  # nothing has the third
    sets[:, 2] = np.arange(120) == 119
    items = []
    for n, row in enumerate(sets):
        part = (Part.TEST if n % 3 == 2 else Part.TRAIN) if tested else Part.EITHER
        has = tuple(name for name, value in zip("xyz", row, strict=True) if value)
        items.append(LabelledItem(f"text {n}", "; ".join(has), part, f"line {n}", has))
    data = check_labels(LabelledItems(items), "labels")
    fitted = fit_label_set_head(data, vectors)
    classifier, held_out = fitted.head.classifier, fitted.held_out
    assert classifier.type is ClassifierType.MULTI_LABEL and held_out is not None
    assert classifier.labels == (("x", "y") if tested else ("x", "y", "z"))
    train = data.indices(Part.TRAIN) if tested else np.arange(120)
    assert isinstance(fitted.strength, tuple)
    plain = score_labels(classifier.model_copy(update={"temperature": 1.0}), fitted.head.logits(vectors))
    for label in range(2):
        model = make_pipeline(StandardScaler(), LogisticRegression(C=fitted.strength[label], tol=1e-5, max_iter=2000))
        model.fit(vectors[train].astype(np.float64), sets[train, label])
        np.testing.assert_allclose(plain[:, label], model.predict_proba(vectors)[:, 1], atol=1e-4)
    assert fitted.counts["x"] == sets[train, 0].sum()
    if not tested:
        assert held_out.items == 120 and "5 folds" in held_out.source
        return
    test = data.indices(Part.TEST)
    found = score_labels(classifier, fitted.head.logits(vectors[test]))
    right = (found >= 0.5) == sets[test, :2]
    assert held_out.metrics["micro_f1"] == pytest.approx(f1_score(sets[test, :2], found >= 0.5, average="micro"))
    assert classifier.ece == pytest.approx(measure_ece(np.maximum(found, 1 - found).ravel(), right.ravel()))


def test_a_temperature_of_sigmoids_has_the_least_log_loss() -> None:
    rng = np.random.default_rng(0)
    logits = 4 * rng.normal(size=(200, 3))
    targets = (rng.random((200, 3)) < 1 / (1 + np.exp(-logits / 2.5))).astype(np.int64)

    def loss(temperature: float) -> float:
        return log_loss(targets.ravel(), 1 / (1 + np.exp(-logits.ravel() / temperature)))

    found = fit_sigmoid_temperature(logits, targets)
    assert found == pytest.approx(2.5, rel=0.3)
    assert loss(found) <= min(loss(0.98 * found), loss(1.02 * found))


def test_a_validation_part_fits_the_temperature() -> None:
    labels, words = ["ab"[n % 2] for n in range(150)], ["train", "test", "validation"]
    items = [LabelledItem(f"text {n}", label, Part(words[n // 50]), f"line {n}") for n, label in enumerate(labels)]
    items += [replace(items[0], part=Part.VALIDATION), LabelledItem("new", "c", Part.VALIDATION, "line 151")]
    found = LabelledItems()
    collect_items(items, found)
    data = check_labels(found)
    assert found.unused == 52 and len(data.validation) == 51 and len(data.items) == 100  # one is in the training part
    targets = np.arange(150) % 2
    vectors = (targets[:, None] + 0.7 * np.random.default_rng(1).normal(size=(150, DIMENSIONS))).astype(np.float32)
    validation = np.concatenate([vectors[100:], vectors[:1]])
    fitted = fit_head(data, vectors[:100], "label", validation)
    assert fitted.scaled_on == "the validation part"
    logits = fitted.head.logits(validation[:50])
    assert fitted.head.classifier.temperature == pytest.approx(fit_temperature(logits, targets[100:]))
    few = replace(data, validation=data.validation[:19])
    assert fit_head(few, vectors[:100], "label", validation[:19]).scaled_on != "the validation part"
