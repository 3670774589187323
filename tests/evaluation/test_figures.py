"""Figures of findings that are given: each is a picture, whatever its labels contain."""

import io

import numpy as np
import pytest
from PIL import Image

from app.datasets.label_checks import check_labels
from app.datasets.labelled import LabelledItem, LabelledItems, Part
from app.evaluation.figures import draw_figures
from app.evaluation.metrics import ProbePrediction
from app.evaluation.mistakes import find_mistakes
from app.evaluation.projection import project
from app.evaluation.results import Findings, Result
from app.evaluation.splits import Split


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        ([f"$class_{{{n % 12}" for n in range(48)], ["curve.png", "confusion-1.png", "map-1.png"]),
        ([str(n / 2) for n in range(48)], ["curve.png", "map-1.png"]),
    ],
)
def test_each_figure_is_a_picture(labels: list[str], names: list[str]) -> None:
    items = [LabelledItem(f"text {n}", label, Part.EITHER, f"row {n}") for n, label in enumerate(labels)]
    data = check_labels(LabelledItems(items))
    vectors = np.random.default_rng(0).normal(size=(48, 8)).astype(np.float32)
    split = Split(0, np.arange(24), np.arange(24, 48))
    mistakes = find_mistakes(data, "tiny@1", "all", [split], [ProbePrediction(data.targets[:24])])
    metric = "accuracy" if data.has_classes else "spearman"
    results = [
        Result("kmeans", "tiny@1", 0, 0.0, [{metric: 0.3}]),
        Result("baseline", None, 1, 12.0, [{metric: 0.2}, {metric: 0.3}]),
        Result("baseline", None, "all", 24.0, [{metric: 0.4}]),
        Result("linear_probe", "tiny@1", 1, 12.0, [{metric: 0.3}, {metric: 0.5}]),
    ]
    findings = Findings(data, metric, "TF-IDF", ["tiny@1"], [1, "all"], results=results)
    findings.mistakes.append(mistakes)
    findings.projections.append(project("tiny@1", vectors))
    figures = dict(draw_figures(findings))
    assert list(figures) == names
    for content in figures.values():
        picture = Image.open(io.BytesIO(content))
        assert (picture.format, picture.size) == ("PNG", (960, 600))
        assert np.asarray(picture.convert("L")).std() > 5
