"""Evaluations of items with several labels, and their numbers computed again with scikit-learn."""

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, roc_auc_score

from app.datasets.label_checks import EvaluationData, check_labels
from app.datasets.labelled import LabelledItem, LabelledItems, Part
from app.errors import InvalidData
from app.evaluation.baselines import count_baseline
from app.evaluation.embedding import Embedder
from app.evaluation.figures import draw_figures
from app.evaluation.label_sets import classify_label_sets, contribute_to_auroc, score_label_sets
from app.evaluation.metrics import ProbePrediction
from app.evaluation.report import build_report, write_csv, write_markdown, write_splits
from app.evaluation.run import EvaluationPlan, evaluate
from app.evaluation.splits import draw_subset, make_splits
from app.evaluation.summary import summarize_findings
from app.store.store import ModelStore
from tests.evaluation.test_run import METHODS, Recorder
from tests.fakes.imports import import_folder
from tests.fakes.tiny_models import tiny_bert_folder

TRAIN = np.random.default_rng(0).normal(size=(60, 6))
TEST = np.random.default_rng(1).normal(size=(40, 6))


def targets_of(features: np.ndarray) -> np.ndarray:
    return np.stack([features[:, 0] > 0, features[:, 1] > 0.5, np.ones(len(features))], 1).astype(np.int64)


def make_data() -> EvaluationData:
    words = {"lion": "animal", "Paris": "place", "fast": "speed"}
    items = []
    for n in range(60):
        chosen = [word for place, word in enumerate(words) if n >> place & 1]
        labels = tuple(sorted(words[word] for word in chosen))
        text = f"The {' and '.join(chosen) or 'nothing'}, number {n}."
        items.append(LabelledItem(text, ", ".join(labels) or "(none)", Part.EITHER, f"row {n}", labels))
    return check_labels(LabelledItems(items))


def test_each_label_is_a_logistic_regression_of_its_own() -> None:
    known, asked = targets_of(TRAIN), targets_of(TEST)
    prediction = classify_label_sets(TRAIN, known, TEST, 0)
    assert prediction.probabilities is not None and isinstance(prediction.strength, tuple)
    assert prediction.strength[2] is None and (prediction.probabilities[:, 2] == 1).all()  # all items have this label
    expected = np.ones_like(prediction.probabilities)
    for label in range(2):
        model = LogisticRegression(C=prediction.strength[label], tol=1e-5, max_iter=2000).fit(TRAIN, known[:, label])
        expected[:, label] = model.predict_proba(TEST)[:, 1]
    assert prediction.probabilities == pytest.approx(expected, abs=1e-6)
    scores = score_label_sets(asked, prediction)
    assert scores["micro_f1"] == pytest.approx(f1_score(asked, expected >= 0.5, average="micro"))
    assert scores["macro_f1"] == pytest.approx(f1_score(asked, expected >= 0.5, average="macro"))
    areas = [roc_auc_score(asked[:, label], expected[:, label]) for label in range(2)]  # the third is not defined
    assert scores["auroc"] == pytest.approx(np.mean(areas), abs=1e-6)
    added = contribute_to_auroc(asked.astype(np.float64), prediction)
    assert added.mean() == pytest.approx(scores["auroc"])


def test_the_spread_of_contributions_is_the_variance_of_delong() -> None:
    rng = np.random.default_rng(2)
    scores, has = rng.integers(0, 12, 50) / 12, rng.random(50) < 0.4  # with ties
    prediction = ProbePrediction(scores[:, None] >= 0.5, probabilities=scores[:, None])
    added = contribute_to_auroc(has[:, None].astype(np.float64), prediction)
    wins = (scores[has][:, None] > scores[~has]) + 0.5 * (scores[has][:, None] == scores[~has])
    assert added.mean() == pytest.approx(wins.mean())
    assert added.var() / 50 == pytest.approx(wins.mean(1).var() / has.sum() + wins.mean(0).var() / (~has).sum())


def test_labels_per_class_are_the_first_items_of_each_label() -> None:
    data = make_data()
    for split in make_splits(data, 3):
        one, two = (draw_subset(data, split, count) for count in (1, 2))
        assert set(one) < set(two) < set(split.train) and not set(split.train) & set(split.test)
        assert (data.targets[two].sum(0) >= 2).all()
        assert 15 <= len(split.test) <= 20
        assert np.ptp(data.targets[split.test].mean(0)) < 0.2  # each label has its share of the test part


def test_a_drawn_test_part_tells_labels_apart() -> None:
    sets = [("a",), ("a", "b"), ("b", "c"), ("b", "d")]  # one of the first two is the test part
    items = [LabelledItem(f"text {n}", "", Part.EITHER, f"row {n}", labels) for n, labels in enumerate(sets)]
    with pytest.raises(InvalidData, match="too few items for scores"):
        make_splits(check_labels(LabelledItems(items)), 1)


def test_an_evaluation_of_label_sets(tmp_path: Path) -> None:
    store = ModelStore(tmp_path / "models")
    import_folder(store, tiny_bert_folder(tmp_path / "tiny"), "tiny")
    data = make_data()
    plan = EvaluationPlan([store.resolve("tiny")], METHODS, [2, 50], seeds=2)
    baseline = count_baseline([str(item.content) for item in data.items])
    done = evaluate(plan, data, baseline, Embedder(store, tmp_path / "cache"), Recorder())
    report = json.loads(json.dumps(build_report(done.findings, complete=True)))
    assert (report["metric"], report["data"]["label_kind"]) == ("auroc", "labels")
    assert report["data"]["classes"] == {"animal": 30, "place": 30, "speed": 28}
    assert report["labels_per_class"] == [2, "all"]
    assert {result["method"] for result in report["results"]} == {*METHODS} - {"kmeans"}
    assert any("kmeans is left out" in warning for warning in report["warnings"])
    full = done.findings.find("baseline", None, "all")
    assert (
        full is not None and min(full.values("auroc")) > 0.9 and set(full.runs[0]) == {"micro_f1", "macro_f1", "auroc"}
    )
    [mistakes] = report["mistakes"]
    assert mistakes["confusion"] is None and mistakes["wrong_items"] == len(mistakes["items"]) > 0
    assert mistakes["items"][0]["predicted"] != mistakes["items"][0]["label"]
    items = json.loads(write_splits(done.findings, done.splits))["items"]
    assert items[3]["target"] == [0, 1]
    text = write_markdown("sets", done.findings, summarize_findings(done.findings))
    assert "reaches a mean AUROC of" in text and "baseline,,all" in write_csv(done.findings)
    assert [name for name, _ in draw_figures(done.findings)] == ["curve.png", "map-1.png"]
