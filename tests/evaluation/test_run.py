"""Evaluations on a tiny model, and every number of a report computed again from what it was computed of."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import t
from sklearn.decomposition import PCA
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, normalized_mutual_info_score, roc_auc_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from app.datasets.label_checks import EvaluationData, check_labels
from app.datasets.labelled import LabelledItem, LabelledItems, Part
from app.errors import InsufficientStorage
from app.evaluation.baselines import count_baseline
from app.evaluation.embedding import PIECE, Embedder, EmbeddingRequest
from app.evaluation.projection import project
from app.evaluation.report import build_report, write_csv, write_markdown, write_splits
from app.evaluation.run import Evaluated, EvaluationPlan, evaluate
from app.evaluation.summary import summarize_findings
from app.store.store import ModelStore
from app.training.hooks import Stopped
from tests.fakes.imports import import_folder
from tests.fakes.tiny_models import tiny_bert_folder

ANIMALS, PLACES = ["lion", "zebra", "fox", "dog"], ["Paris", "Zürich", "savanna", "world"]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ModelStore:
    root = tmp_path_factory.mktemp("store")
    store = ModelStore(root / "models")
    import_folder(store, tiny_bert_folder(root / "tiny"), "tiny")
    return store


def make_data(count: int = 60, part: Part = Part.EITHER) -> EvaluationData:
    items = []
    for number in range(count):
        words = (ANIMALS, PLACES)[number % 2]
        text = f"The {words[number // 2 % 4]} is number {number} and {number * 7 % 13}."
        items.append(LabelledItem(text, ("animal", "place")[number % 2], part, f"a.csv, line {number + 2}"))
    return check_labels(LabelledItems(items))


class Recorder:
    """Hooks that keep what they are told. stop_at: the share of the work at which the evaluation is stopped."""

    def __init__(self, stop_at: float = 2.0) -> None:
        self.stop_at = stop_at
        self.shares: list[float] = []
        self.results = 0
        self.vectors: dict[str, Any] = {}

    def on_step(self, message: str) -> None:
        pass

    def on_share(self, share: float) -> None:
        self.shares.append(share)
        if share >= self.stop_at:
            raise Stopped("cancel")

    def on_result(self, findings: Any) -> None:
        self.results += 1

    def on_vectors(self, name: str, vectors: Any) -> None:
        self.vectors[name] = vectors


METHODS = ("linear_probe", "knn", "kmeans", "random_encoder", "baseline")


@pytest.fixture(scope="module")
def run(store: ModelStore, tmp_path_factory: pytest.TempPathFactory) -> tuple[Evaluated, Recorder]:
    plan = EvaluationPlan([store.resolve("tiny")], METHODS, [1, 4, "all"], seeds=3)
    hooks = Recorder()
    data = make_data()
    embedder = Embedder(store, tmp_path_factory.mktemp("cache"))
    return evaluate(plan, data, count_baseline([item.content for item in data.items]), embedder, hooks), hooks


def test_every_number_of_a_report_can_be_computed_again(run: tuple[Evaluated, Recorder]) -> None:
    done, hooks = run
    report = build_report(done.findings, complete=True)
    kept = json.loads(write_splits(done.findings, done.splits))
    targets = np.array([item["target"] for item in kept["items"]])
    texts = [item.content for item in done.findings.data.items]
    checked, confusion = 0, np.zeros((2, 2), np.int64)
    for result in report["results"]:
        if result["method"] == "kmeans":
            continue
        vectors = hooks.vectors["vectors-1-random" if result["method"] == "random_encoder" else "vectors-1"]
        for split, scores, strength in zip(kept["splits"], result["runs"], result["regularization"], strict=True):
            train, test = split["subsets"][str(result["labels_per_class"])], split["test"]
            features: Any = vectors
            if result["method"] == "baseline":
                counter = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2)).fit([texts[i] for i in train])
                features = counter.transform(texts)
                model: Any = LogisticRegression(C=strength, tol=1e-5, max_iter=2000)
            elif result["method"] == "knn":
                count = max(1, min(5, len(train) // 2))
                model = KNeighborsClassifier(count, metric="cosine", weights="distance")
            else:
                model = make_pipeline(StandardScaler(), LogisticRegression(C=strength, tol=1e-5, max_iter=2000))
            model.fit(features[train], targets[train])
            if (result["method"], result["labels_per_class"]) == ("linear_probe", "all"):
                confusion += confusion_matrix(targets[test], model.predict(features[test]), labels=[0, 1])
            assert scores["accuracy"] == pytest.approx(
                accuracy_score(targets[test], model.predict(features[test])), abs=1e-6
            )
            f1 = f1_score(targets[test], model.predict(features[test]), average="macro")
            assert scores["macro_f1"] == pytest.approx(f1, abs=1e-6)
            auroc = roc_auc_score(targets[test], model.predict_proba(features[test])[:, 1])
            assert scores["auroc"] == pytest.approx(auroc, abs=1e-6)
            checked += 1
        values = [scores["accuracy"] for scores in result["runs"]]
        error = np.std(values, ddof=1) / np.sqrt(3) * t.ppf(0.975, 2)
        found = result["metrics"]["accuracy"]
        assert (found["mean"], found["high"]) == pytest.approx((np.mean(values), np.mean(values) + error), abs=1e-6)
    [mistakes] = report["mistakes"]
    assert mistakes["confusion"] == {"classes": ["animal", "place"], "counts": confusion.tolist()}
    assert sum(each["wrong_runs"] for each in mistakes["items"]) == confusion.sum() - np.trace(confusion)
    assert checked == 4 * 3 * 3  # methods with labels × numbers of labels × seeds


def test_the_map_has_the_principal_components(run: tuple[Evaluated, Recorder]) -> None:
    done, hooks = run
    found = build_report(done.findings, complete=True)["map"]
    analysis = PCA(2)
    expected = analysis.fit_transform(hooks.vectors["vectors-1"].astype(np.float64))
    [projection] = found["projections"]
    assert np.abs(projection["points"]) == pytest.approx(np.abs(expected), abs=2e-3 * np.abs(expected).max())
    assert projection["shares"] == pytest.approx(list(analysis.explained_variance_ratio_))
    assert found["items"][0] == {"place": "a.csv, line 2", "text": "The lion is number 0 and 0.", "label": "animal"}
    assert build_report(done.findings, complete=False)["map"] is None
    alone = project("one", np.ones((3, 1), np.float32))
    assert (alone.points.tolist(), alone.shares) == ([[0, 0]] * 3, [0, 0])


def test_the_parts_of_a_seed_are_disjoint_and_its_subsets_nested(run: tuple[Evaluated, Recorder]) -> None:
    done, hooks = run
    kept = json.loads(write_splits(done.findings, done.splits))
    for split in kept["splits"]:
        one, four, everything = (set(split["subsets"][count]) for count in ("1", "4", "all"))
        assert one < four < everything
        assert not everything & set(split["test"])
        assert len(one) == 2 and len(four) == 8 and len(split["test"]) == 18
    assert len({tuple(split["test"]) for split in kept["splits"]}) == 3
    assert hooks.shares == sorted(hooks.shares) and hooks.shares[-1] == pytest.approx(1)


def test_the_report_has_a_table_and_sentences(run: tuple[Evaluated, Recorder]) -> None:
    findings = run[0].findings
    text = write_markdown("letters", findings, summarize_findings(findings))
    assert "| baseline: TF-IDF |" in text and "With 4 labels per class, tiny@1 reaches an accuracy of" in text
    rows = write_csv(findings).splitlines()
    assert rows[0].startswith("method,model,") and len(rows) == 1 + 12 * 3 + 2
    spread = findings.spreads["tiny@1"]
    assert 1 <= spread.rank_me <= spread.dimensions and -1 <= spread.mean_cosine <= 1


def test_clusters_are_scored_by_the_best_matching() -> None:
    from app.evaluation.metrics import score_clusters

    targets, clusters = np.array([0, 0, 0, 1, 1, 2]), np.array([2, 2, 1, 0, 0, 1])
    found = score_clusters(targets, clusters)
    assert found == {"nmi": pytest.approx(normalized_mutual_info_score(targets, clusters)), "accuracy": 5 / 6}


def test_a_stopped_evaluation_goes_on_from_the_cache(store: ModelStore, tmp_path: Path) -> None:
    count = 2 * PIECE + 10
    texts, places = [f"word {n}" for n in range(count)], [f"line {n}" for n in range(count)]
    request = EmbeddingRequest(store.resolve("tiny"), texts, places)
    embedder = Embedder(store, tmp_path)
    done: list[int] = []

    def stop(items: int) -> None:
        if items:
            raise Stopped("drain")

    with pytest.raises(Stopped):
        embedder.embed(request, stop)
    vectors = embedder.embed(request, done.append)
    assert min(done) >= PIECE  # a piece was there
    assert len(vectors) == count
    again: list[int] = []
    assert np.array_equal(embedder.embed(request, again.append), vectors)
    assert again == [count]  # nothing was computed
    alone = Embedder(store, tmp_path / "other").embed(
        EmbeddingRequest(request.model, texts[-1:], places[-1:]), done.append
    )
    assert alone[0] == pytest.approx(vectors[-1], abs=1e-4)


def test_room_is_made_before_vectors_are_computed(store: ModelStore, tmp_path: Path) -> None:
    texts = ["a", "b"]
    for number in range(2):
        embedder = Embedder(store, tmp_path, cache_bytes=1)
        embedder.embed(EmbeddingRequest(store.resolve("tiny"), [*texts, str(number)], [*texts, "c"]), lambda done: None)
        assert len(list(tmp_path.glob("embeddings/*"))) == 1
    full = Embedder(store, tmp_path, disk_reserve=2**60)
    with pytest.raises(InsufficientStorage):
        full.embed(EmbeddingRequest(store.resolve("tiny"), texts, texts), lambda done: None)


def test_a_regression_and_a_given_test_part(store: ModelStore, tmp_path: Path) -> None:
    items = [
        LabelledItem(
            f"The {'very ' * (n % 30)}lazy dog {n}", str(n % 30), Part.TRAIN if n % 3 else Part.TEST, f"row {n}"
        )
        for n in range(90)
    ]
    data = check_labels(LabelledItems(items))
    hooks = Recorder()
    plan = EvaluationPlan([store.resolve("tiny")], METHODS, [1, 10, "all"], seeds=2)
    baseline = count_baseline([item.content for item in items])
    findings = evaluate(plan, data, baseline, Embedder(store, tmp_path), hooks).findings
    assert findings.counts == [10, "all"]
    assert "1 labels are too few for a regression" in findings.warnings
    full = findings.find("linear_probe", "tiny@1", "all")
    assert full is not None and len(full.runs) == 1 and full.labels == 60
    assert 0.5 < full.runs[0]["spearman"] <= 1
    interval = full.interval("spearman")
    assert interval is not None and interval.low is None
    assert not [result for result in findings.results if result.method == "kmeans"]
