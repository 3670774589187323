"""The sentences of a report say where a model helps, and where it does not."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import t

from app.datasets.label_checks import EvaluationData, check_labels
from app.datasets.labelled import LabelledItem, LabelledItems, Part
from app.evaluation.metrics import ProbePrediction, contribute, score_numbers
from app.evaluation.results import Findings, Result, compare, compare_all
from app.evaluation.splits import LabelCount
from app.evaluation.summary import describe_labels, summarize_findings
from app.evaluation.vectors import Spread

COUNTS: list[LabelCount] = [1, 10, 50, "all"]


def data() -> EvaluationData:
    items = [LabelledItem(f"text {n}", "ab"[n % 2], Part.EITHER, f"row {n}") for n in range(8)]
    return check_labels(LabelledItems(items))


def items_right(share: float, count: int = 400) -> NDArray[np.float16]:
    """Which test items are right: the first ones."""
    return (np.arange(count) < round(share * count)).astype(np.float16)


def findings(**curves: list[float]) -> Findings:
    """curves: the accuracy by number of labels of each method. Runs differ by 0.02 around it, but for all labels.

    Of 400 test items, a better method gets those right that a worse one does.
    """
    results = []
    for method, values in curves.items():
        model: Any = None if method == "baseline" else "m@1"
        for count, value in zip(COUNTS, values, strict=True):
            steps = (0.0,) if count == "all" else (-0.02, 0.0, 0.02)
            runs = [{"accuracy": value + step} for step in steps]
            results.append(Result(method, model, count, 1000.0, runs, contributions=items_right(value)))  # type: ignore[arg-type]
    found = Findings(data(), "accuracy", "TF-IDF", ["m@1"], COUNTS, results=results)
    found.spreads["m@1"] = Spread(384, 200.0, 0.1)
    return found


def test_a_model_saves_labels() -> None:
    found = findings(linear_probe=[0.5, 0.8, 0.85, 0.9], baseline=[0.5, 0.6, 0.81, 0.9], random_encoder=[0.5] * 4)
    summary = summarize_findings(found)
    assert summary.sentences == [
        "With 10 labels per class, m@1 reaches an accuracy of 0.800, for which TF-IDF needs 50 labels per class.",
        "With all 1,000 labels it is not clearly better than TF-IDF: 0.900 against 0.900.",
        "Its pretraining adds 0.300 to what the same network with random weights gives.",
    ]
    assert summary.beats_baseline


def test_labels_are_saved_against_the_same_network_from_scratch() -> None:
    curves = {"fine_tune": [0.5, 0.8, 0.85, 0.9], "from_scratch": [0.5, 0.6, 0.81, 0.9]}
    reached = "With 10 labels per class, fine-tuned m@1 reaches an accuracy of 0.800"
    assert summarize_findings(findings(**curves)).sentences == [
        f"{reached}, for which the same network from scratch needs 50 labels per class."
    ]
    curves["from_scratch"] = [0.5, 0.6, 0.7, 0.75]
    assert summarize_findings(findings(**curves)).sentences == [
        f"{reached}, which the same network from scratch does not reach with all labels."
    ]
    curves["from_scratch"] = [0.5, 0.8, 0.9, 0.9]
    assert summarize_findings(findings(**curves)).sentences == [
        f"{reached}, which is not clearly better than the same network from scratch (0.800)."
    ]
    probe = findings(linear_probe=[0.5, 0.85, 0.9, 0.9], **curves)
    assert summarize_findings(probe).sentences[0] == (
        "With 10 labels per class, m@1 with a linear probe reaches an accuracy of 0.850, for which the same network"
        " from scratch needs 50 labels per class."
    )
    pairs = [(each.first.method, each.second.method) for each in compare_all(probe)][:3]
    assert pairs == [("linear_probe", "from_scratch"), ("fine_tune", "linear_probe"), ("fine_tune", "from_scratch")]


def test_results_without_the_metric_are_left_out() -> None:
    found = findings(linear_probe=[0.5, 0.6, 0.7, 0.7], baseline=[0.5, 0.7, 0.81, 0.9])
    found.metric = "auroc"
    assert summarize_findings(found).sentences == []


def test_a_model_does_not_help() -> None:
    found = findings(linear_probe=[0.5, 0.6, 0.7, 0.7], baseline=[0.5, 0.7, 0.81, 0.9], random_encoder=[0.6] * 4)
    found.spreads["m@1"] = Spread(384, 2.0, 0.99)
    summary = summarize_findings(found)
    assert summary.sentences == [
        "With 10 labels per class, m@1 reaches an accuracy of 0.600, which is worse than TF-IDF (0.700).",
        "With all 1,000 labels it is worse than TF-IDF: 0.700 against 0.900.",
        "Its pretraining adds nothing that can be told from chance: random weights are as good.",
        "The vectors of m@1 use about 2 of 384 dimensions and have a mean cosine of 0.99, which is a sign of collapse.",
    ]
    assert summary.beats_baseline is False and "baseline is better here" in summary.advice


def test_a_model_is_as_good_as_the_baseline() -> None:
    found = findings(linear_probe=[0.5, 0.7, 0.8, 0.9], baseline=[0.5, 0.7, 0.8, 0.9])
    assert "baseline is as good here" in summarize_findings(found).advice


def test_a_score_that_the_baseline_does_not_reach_names_the_most_labels_that_it_had() -> None:
    found = findings(linear_probe=[0.5, 0.95, 0.95, 0.95], baseline=[0.5, 0.6, 0.8, 0.9])
    found.counts = [1, 10, 50]
    assert "TF-IDF does not reach with 50 labels per class." in summarize_findings(found).sentences[0]


def test_test_items_count_in_the_interval_of_a_difference() -> None:
    """Two items of 100 tell nothing, even if seeds make no difference. Eight do, since the comparison is paired."""

    def difference(right: float, runs: int) -> Any:
        pair = [
            Result("knn", "m@1", "all", 9.0, [{"accuracy": each}] * runs, contributions=items_right(each, 100))
            for each in (right, 0.8)
        ]
        return compare(*pair, "accuracy")

    for runs in (1, 5):
        few, many = difference(0.82, runs), difference(0.88, runs)
        assert not few.is_better and many.is_better
        error = np.std([1] * 2 + [0] * 98, ddof=1) / 10 * t.ppf(0.975, 99)
        assert (few.difference.low, few.difference.high) == pytest.approx((0.02 - error, 0.02 + error))
    assert compare(many.first, Result("knn", "m@1", 1, 1.0, []), "accuracy") is None


def test_what_items_add_to_a_correlation_has_its_sampling_error() -> None:
    rng = np.random.default_rng(0)
    found, errors = [], []
    for _ in range(200):
        targets = rng.normal(size=100)
        prediction = ProbePrediction(targets + rng.normal(size=100))
        items = contribute(targets, prediction, "spearman")
        found.append(score_numbers(targets, prediction)["spearman"])
        errors.append(np.std(items) / 10)
        assert items.mean() == pytest.approx(found[-1])
    assert np.mean(errors) == pytest.approx(np.std(found), rel=0.15)


def test_labels_are_counted_per_class_where_there_are_classes() -> None:
    found = findings()
    assert [describe_labels(found, count) for count in (1, 10, "all")] == [
        "1 label per class",
        "10 labels per class",
        "all labels",
    ]
    items = [LabelledItem(f"text {n}", str(n), Part.EITHER, f"row {n}") for n in range(8)]
    found.data = check_labels(LabelledItems(items), "numbers")
    assert describe_labels(found, 10) == "10 labels"
