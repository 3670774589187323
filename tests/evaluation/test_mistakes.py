"""The mistakes of a probe, from predictions that are given."""

import numpy as np

from app.datasets.label_checks import EvaluationData, check_labels
from app.datasets.labelled import LabelledItem, LabelledItems, Part
from app.evaluation.metrics import ProbePrediction
from app.evaluation.mistakes import find_mistakes
from app.evaluation.mistakes_report import EXCERPT, describe_mistakes, write_mistakes
from app.evaluation.splits import Split


def make_data(labels: str) -> EvaluationData:
    return check_labels(
        LabelledItems(
            [LabelledItem(f"text | {n} " * 99, label, Part.EITHER, f"row {n}") for n, label in enumerate(labels)]
        )
    )


def predict(values: list[int], probabilities: list[float]) -> ProbePrediction:
    return ProbePrediction(np.array(values), probabilities=np.array(probabilities))


def test_the_matrix_sums_all_runs_and_items_name_their_places() -> None:
    data = make_data("aabbc")
    splits = [Split(0, np.array([2, 4]), np.array([0, 1, 3])), Split(1, np.array([1, 4]), np.array([0, 2, 3]))]
    predictions = [predict([1, 0, 2], [0.6, 0.9, 0.5]), predict([2, 1, 1], [0.8, 0.7, 0.9])]
    mistakes = find_mistakes(data, "tiny@1", "all", splits, predictions)
    found = describe_mistakes(data, mistakes)
    assert found["confusion"] == {"classes": ["a", "b", "c"], "counts": [[1, 1, 1], [0, 2, 1], [0, 0, 0]]}
    assert (found["wrong_items"], found["runs"]) == (2, 2)
    first, second = found["items"]
    assert [first[key] for key in ("place", "label", "predicted", "probability")] == ["row 0", "a", "c", 0.8]
    assert (first["wrong_runs"], first["tested_runs"]) == (2, 2)
    assert (second["place"], second["wrong_runs"], second["tested_runs"]) == ("row 3", 1, 2)
    assert len(first["text"]) == EXCERPT
    assert {"label": "a", "predicted": "c", "count": 1} in found["confused_pairs"]
    text = write_mistakes(data, mistakes)
    assert "| a | 1 | 1 | 1 |" in text and "| row 0 | text \\| 0 text" in text and "| a | c | 0.80 | 2 of 2 |" in text


def test_numbers_have_items_with_large_errors() -> None:
    items = [LabelledItem(f"text {n}", str(n), Part.EITHER, f"row {n}") for n in range(30)]
    data = check_labels(LabelledItems(items))
    test = np.arange(20, 30)
    predicted = ProbePrediction(np.where(test == 25, 5.0, test + 0.1))
    mistakes = find_mistakes(data, "tiny@1", 10, [Split(0, np.arange(20), test)], [predicted])
    found = describe_mistakes(data, mistakes)
    assert (found["confusion"], found["wrong_items"], found["confused_pairs"]) == (None, None, [])
    assert (found["items"][0]["place"], found["items"][0]["predicted"]) == ("row 25", 5.0)
    assert "| row 25 | text 25 | 25 | 5 |" in write_mistakes(data, mistakes)
