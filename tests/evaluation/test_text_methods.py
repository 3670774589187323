"""Figures of models without training labels, computed again by slow and readable code."""

import csv
import io
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr

from app.datasets.text_rows import TextRow, TextRows
from app.evaluation.embedding import Embedder, EmbeddingRequest
from app.evaluation.text_report import build_text_report, write_text_csv, write_text_markdown
from app.evaluation.text_run import TextFindings, evaluate_texts
from app.store.store import ModelStore
from app.training.hooks import Stopped
from app.types import TextMethod
from tests.fakes.imports import import_folder
from tests.fakes.tiny_models import CORPUS, tiny_bert_folder


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ModelStore:
    root = tmp_path_factory.mktemp("store")
    store = ModelStore(root / "models")
    import_folder(store, tiny_bert_folder(root / "tiny"), "tiny")
    import_folder(store, tiny_bert_folder(root / "other", seed=1), "other")
    return store


class Recorder:
    """Hooks that keep what they are told. stop: whether to stop as soon as a share is done."""

    def __init__(self, *, stop: bool = False) -> None:
        self.stop = stop
        self.shares: list[float] = []
        self.results = 0

    def on_step(self, message: str) -> None:
        pass

    def on_share(self, share: float) -> None:
        self.shares.append(share)
        if self.stop and share > 0:
            raise Stopped("drain")

    def on_figures(self, findings: TextFindings) -> None:
        self.results += 1


def run(store: ModelStore, cache: Path, method: TextMethod, rows: list[TextRow], *models: str) -> TextFindings:
    entries = [store.resolve(model) for model in models or ("tiny",)]
    hooks = Recorder()
    findings = evaluate_texts(method, TextRows(rows), entries, Embedder(store, cache), hooks)
    assert hooks.results == len(entries) and hooks.shares == sorted(hooks.shares) and hooks.shares[-1] == 1
    return findings


PAIRS = [  # different ones, whose cosines have no ties
    TextRow(pair, f"line {n}", float((n * 5) % 11), "ab"[n % 2]) for n, pair in enumerate(combinations(CORPUS[:8], 2))
]


def find_cosines(store: ModelStore, cache: Path, model: str) -> list[float]:
    """The cosine of each pair, of the vectors that the evaluation has computed: a fresh batch rounds differently."""
    texts = list(dict.fromkeys(text for row in PAIRS for text in row.texts))
    request = EmbeddingRequest(store.resolve(model), texts, texts)
    vectors = dict(zip(texts, Embedder(store, cache).embed(request, lambda done: None).astype(float), strict=True))
    cosines = []
    for row in PAIRS:
        first, second = (vectors[text] for text in row.texts)
        cosines.append(float(first @ second / np.linalg.norm(first) / np.linalg.norm(second)))
    return cosines


def test_sts_is_the_correlation_of_cosines_and_scores(store: ModelStore, tmp_path: Path) -> None:
    findings = run(store, tmp_path, "sts", PAIRS, "tiny")
    cosines, scores = find_cosines(store, tmp_path, "tiny"), [row.score for row in PAIRS]
    figures = findings.results[0].figures
    assert figures["spearman"].mean == pytest.approx(spearmanr(cosines, scores).statistic, abs=1e-6)
    assert figures["pearson"].mean == pytest.approx(pearsonr(cosines, scores).statistic, abs=1e-6)
    group = findings.results[0].groups[1]
    expected = spearmanr(cosines[1::2], scores[1::2]).statistic
    assert (group.group, group.rows, group.value) == ("b", 14, pytest.approx(expected, abs=1e-6))


def test_intervals_are_those_of_a_bootstrap_with_the_same_rows_of_both_models(
    store: ModelStore, tmp_path: Path
) -> None:
    findings = run(store, tmp_path, "sts", PAIRS, "tiny", "other")
    scores = np.array([row.score for row in PAIRS])
    cosines = [np.array(find_cosines(store, tmp_path, model)) for model in ("tiny", "other")]
    rng = np.random.default_rng(0)
    draws = []
    for _ in range(1000):
        drawn = rng.integers(28, size=28)
        draws.append([spearmanr(each[drawn], scores[drawn]).statistic for each in cosines])
    found = findings.results[0].figures["spearman"]
    assert (found.low, found.high) == pytest.approx(np.percentile([a for a, _ in draws], [2.5, 97.5]), abs=1e-6)
    difference = findings.differences[0].difference
    low, high = np.percentile([a - b for a, b in draws], [2.5, 97.5])
    assert (difference.low, difference.high) == pytest.approx((low, high), abs=1e-6)


def test_a_report_names_each_figure(store: ModelStore, tmp_path: Path) -> None:
    findings = run(store, tmp_path, "sts", PAIRS, "tiny", "other")
    findings.data.skip("a.csv, line 9", "the text in 'pair' is empty")
    report = build_text_report(findings, complete=True)
    assert [result["model"] for result in report["results"]] == ["tiny@1", "other@1"]
    assert report["metric"] == "spearman" and report["labels_per_class"] == []
    assert report["results"][0]["groups"][0].keys() == {"group", "items", "spearman"}
    assert report["data"]["skipped"] == [{"place": "a.csv, line 9", "reason": "the text in 'pair' is empty"}]
    assert "with the scores of 28 pairs" in report["summary"][0] and "tiny@1" in report["summary"][2]
    rows = list(csv.DictReader(io.StringIO(write_text_csv(findings))))
    assert [(row["metric"], row["group"]) for row in rows[:4]] == [
        ("spearman", ""),
        ("pearson", ""),
        ("spearman", "a"),
        ("spearman", "b"),
    ]
    text = write_text_markdown("pairs", findings)
    assert "| model | Spearman | Pearson |" in text and "| group | rows | tiny@1 | other@1 |" in text
