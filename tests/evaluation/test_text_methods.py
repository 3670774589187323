"""Figures of models without training labels, computed again by slow and readable code."""

import csv
import io
import math
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import pearsonr, spearmanr
from transformers import AutoModelForMaskedLM, AutoTokenizer

from app.datasets.text_rows import TextRow, TextRows
from app.errors import InvalidData
from app.evaluation.embedding import Embedder, EmbeddingRequest, EngineOptions
from app.evaluation.metrics import Interval
from app.evaluation.scoring import PIECE, ScoringRequest, TextScore, score_texts
from app.evaluation.text_methods import correlate, draw_texts
from app.evaluation.text_report import build_text_report, describe_text_findings, write_text_csv, write_text_markdown
from app.evaluation.text_run import TextDifference, TextFindings, evaluate_texts
from app.store.store import ModelStore
from app.training.hooks import Stopped
from app.types import TextMethod
from tests.fakes.imports import import_folder
from tests.fakes.tiny_models import CORPUS, tiny_bert_folder

EXACT = EngineOptions(dtype="float32")


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
    findings = evaluate_texts(method, TextRows(rows), entries, Embedder(store, cache, EXACT), hooks)
    assert hooks.results == len(entries) and hooks.shares == sorted(hooks.shares) and hooks.shares[-1] == 1
    return findings


PAIRS = [  # different ones, whose cosines have no ties
    TextRow(pair, f"line {n}", float((n * 5) % 11), "ab"[n % 2]) for n, pair in enumerate(combinations(CORPUS[:8], 2))
]


def find_cosines(store: ModelStore, cache: Path, model: str) -> list[float]:
    """The cosine of each pair, of the vectors that the evaluation has computed: a fresh batch rounds differently."""
    texts = list(dict.fromkeys(text for row in PAIRS for text in row.texts))
    request = EmbeddingRequest(store.resolve(model), texts, texts)
    vectors = dict(
        zip(texts, Embedder(store, cache, EXACT).embed(request, lambda done: None).astype(float), strict=True)
    )
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


UNREADABLE = TextRow(("\ud800", "A lion."), "line 99", 3.0)  # the first text is no Unicode


@pytest.mark.parametrize("method", ["sts", "minimal_pairs"])
def test_a_text_that_the_model_cannot_read_is_left_out(store: ModelStore, tmp_path: Path, method: TextMethod) -> None:
    findings = run(store, tmp_path, method, [*PAIRS, UNREADABLE])
    assert findings.results[0].rows == len(PAIRS)
    assert findings.warnings == ["tiny@1 cannot read 1 rows, such as that of line 99"]
    with pytest.raises(InvalidData, match="tiny@1 can read 0 rows"):
        run(store, tmp_path, method, [replace(UNREADABLE, texts=("\ud800", "\ud801"))] * 2)


@pytest.mark.parametrize("size", [1e100, 1.0, 1e-200])
def test_a_correlation_does_not_depend_on_the_size_of_scores(size: float) -> None:
    assert correlate(np.array([[1, 1], [2, 3], [4, 2]]) * [1, size]) == pytest.approx(pearsonr([1, 2, 4], [1, 3, 2])[0])


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


def score_slowly(store: ModelStore, text: str) -> tuple[float, int]:
    """The pseudo-log-likelihood of a text and its tokens: each is masked with what follows it in its word."""
    folder = store.resolve("tiny").path
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForMaskedLM.from_pretrained(folder).eval()
    ids = tokenizer(text)["input_ids"]
    pieces, total = tokenizer.convert_ids_to_tokens(ids), 0.0
    for place in range(1, len(ids) - 1):
        masked = list(ids)
        masked[place] = tokenizer.mask_token_id
        for after in range(place + 1, len(ids) - 1):
            if not pieces[after].startswith("##"):
                break
            masked[after] = tokenizer.mask_token_id
        with torch.inference_mode():
            logits = model(torch.tensor([masked])).logits[0, place]
        total += float(logits.log_softmax(-1)[ids[place]])
    return total, len(ids) - 2


MINIMAL_PAIRS = [
    TextRow((f"The {a} is {b}.", f"The {b} is {a}."), f"line {n}", group="xy"[n % 2])
    for n, (a, b) in enumerate(combinations(["lion", "zebra", "fox", "Paris", "water"], 2))
]
# For a model without capitals both texts are the same tokens, which is a tie.
TIE = TextRow(("The lion is here.", "THE LION IS HERE."), "line 11", group="x")


def test_minimal_pairs_count_the_higher_pseudo_log_likelihood(store: ModelStore, tmp_path: Path) -> None:
    findings = run(store, tmp_path, "minimal_pairs", [*MINIMAL_PAIRS, TIE])
    right = []
    for row in MINIMAL_PAIRS:
        good, bad = (score_slowly(store, text)[0] for text in row.texts)
        assert abs(good - bad) > 1e-3  # else rounding would decide
        right.append(good > bad)
    assert 0 < sum(right) < 10
    result = findings.results[0]
    assert result.figures["accuracy"].mean == pytest.approx(sum(right) / 11)
    assert {each.group: each.value for each in result.groups} == {
        "x": pytest.approx(sum(right[::2]) / 6),
        "y": pytest.approx(sum(right[1::2]) / 5),
    }
    text = write_text_markdown("pairs", findings)
    assert "of 11 pairs, where chance is 50 %" in text and "| x | 6 |" in text


def test_stopped_scores_go_on_from_the_cache(store: ModelStore, tmp_path: Path) -> None:
    texts = [f"The lion is number {n}." for n in range(2 * PIECE)] + ["[SEP]"]
    request = ScoringRequest(store.resolve("tiny"), texts)
    embedder = Embedder(store, tmp_path, EXACT)
    shares: list[float] = []

    def stop(share: float) -> None:
        if list(tmp_path.rglob("*.npy")):
            raise Stopped("drain")

    with pytest.raises(Stopped):
        score_texts(embedder, request, stop)
    scores = score_texts(embedder, request, shares.append)
    assert shares[0] >= PIECE / len(texts) and shares[-1] == 1
    assert np.isnan(scores[-1]).all() and np.isfinite(scores[:-1]).all()
    expected, tokens = score_slowly(store, texts[70])
    found = TextScore(*scores[70])
    assert (found.log_likelihood, found.tokens) == (pytest.approx(expected, abs=1e-4), tokens)
    assert found.characters == len(texts[70])
    again: list[float] = []
    assert np.array_equal(score_texts(embedder, request, again.append), scores, equal_nan=True)
    assert again == [1]  # nothing was computed


def predict_slowly(store: ModelStore, text: str, seed: int) -> tuple[float, int, int]:
    """Masks 15 % of the tokens together; returns their log-likelihood, how many they are and how many are right."""
    folder = store.resolve("tiny").path
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForMaskedLM.from_pretrained(folder).eval()
    ids = np.array(tokenizer(text)["input_ids"])
    count = math.ceil(0.15 * (len(ids) - 2))
    places = 1 + np.random.default_rng(seed).permutation(len(ids) - 2)[:count]
    masked = ids.copy()
    masked[places] = tokenizer.mask_token_id
    with torch.inference_mode():
        logits = model(torch.tensor(masked[None])).logits[0]
    log_probs = logits.log_softmax(-1).numpy()
    right = log_probs[places].argmax(-1) == ids[places]
    return float(log_probs[places, ids[places]].sum()), count, int(right.sum())


def test_masked_accuracy_and_pseudo_perplexity(store: ModelStore, tmp_path: Path) -> None:
    rows = [TextRow((text,), f"line {n}") for n, text in enumerate(CORPUS)]
    findings = run(store, tmp_path, "masked_accuracy", rows)
    texts = [row.texts[0] for row in findings.data.rows]
    assert sorted(texts) == sorted(CORPUS)
    whole = np.array([score_slowly(store, text) for text in texts]).sum(0)
    drawn = np.array([predict_slowly(store, text, seed) for seed, text in enumerate(texts)]).sum(0)
    expected = {
        "bits_per_character": -whole[0] / np.log(2) / sum(map(len, CORPUS)),
        "pseudo_perplexity": np.exp(-whole[0] / whole[1]),
        "accuracy": drawn[2] / drawn[1],
        "loss": -drawn[0] / drawn[1],
    }
    figures = findings.results[0].figures
    assert {name: interval.mean for name, interval in figures.items()} == pytest.approx(expected, rel=1e-5)
    assert "bits per character of 8 texts" in write_text_markdown("texts", findings)


def test_fewer_bits_are_better() -> None:
    def describe(low: float, high: float) -> str:
        findings = TextFindings("masked_accuracy", TextRows(), ["a@1", "b@1"])
        findings.differences.append(TextDifference("a@1", "b@1", Interval((low + high) / 2, low, high, 1)))
        return describe_text_findings(findings)[0]

    assert describe(0.25, 0.75) == "b@1 is better than a@1 by 0.500 in bits per character."
    assert describe(-0.75, -0.25) == "a@1 is better than b@1 by 0.500 in bits per character."
    assert describe(-0.25, 0.75) == "a@1 and b@1 cannot be told apart."


def test_long_texts_are_cut_at_a_space_and_many_are_sampled() -> None:
    rows = [TextRow((f"{n} " + "word " * 200,), f"line {n}") for n in range(1000)]
    drawn = draw_texts(rows)
    assert len(drawn) == 201 and drawn == draw_texts(rows)
    assert all(495 < len(row.texts[0]) <= 500 and row.texts[0].endswith(" word") for row in drawn)
    assert [row.texts[0] for row in draw_texts([TextRow(("A" * 900,), "line 1")])] == ["A" * 500]
