"""The results of an evaluation, as they come, and what is known of its data and models."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from app.datasets.label_checks import EvaluationData
from app.evaluation.metrics import Interval, Scores, Strength, combine, summarize
from app.evaluation.mistakes import Mistakes
from app.evaluation.projection import Projection
from app.evaluation.splits import LabelCount
from app.evaluation.vectors import Spread
from app.types import EvaluationMethod


@dataclass(frozen=True)
class Result:
    """The scores of a method with a number of labels, one a run.

    model: as name@version; None for a method without a model. labels: of the training subset, on average over runs.
    strengths: the regularization that each run has chosen.
    contributions: [items, float16], of each item of the data to the metric that is compared, on average over the runs
    that test it; NaN for items that none tests.
    """

    method: EvaluationMethod
    model: str | None
    labels_per_class: LabelCount
    labels: float
    runs: Sequence[Scores]
    strengths: Sequence[Strength] = ()
    contributions: NDArray[np.float16] | None = field(default=None, repr=False, compare=False)

    def values(self, metric: str) -> list[float]:
        """One value a run; empty where a run has none."""
        found = [scores[metric] for scores in self.runs if metric in scores]
        return found if len(found) == len(self.runs) else []

    def interval(self, metric: str) -> Interval | None:
        values = self.values(metric)
        return summarize(values) if values else None


@dataclass(frozen=True)
class Comparison:
    """The difference of a metric between two results on the same splits: `first` minus `second`."""

    first: Result
    second: Result
    metric: str
    difference: Interval

    @property
    def is_better(self) -> bool:
        """Whether the whole interval is above 0."""
        return self.difference.low is not None and self.difference.low > 0

    @property
    def is_worse(self) -> bool:
        return self.difference.high is not None and self.difference.high < 0


@dataclass
class Findings:
    """All that an evaluation has found so far. counts: of labels, in order, "all" last."""

    data: EvaluationData
    metric: str  # the one that is compared
    baseline: str  # its name
    models: Sequence[str]
    counts: Sequence[LabelCount]
    spreads: dict[str, Spread] = field(default_factory=dict)
    results: list[Result] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    mistakes: list[Mistakes] = field(default_factory=list)  # one for each model
    projections: list[Projection] = field(default_factory=list)
    thumbnails: dict[int, str] = field(default_factory=dict)  # addresses of images, by the index of an item

    def find(self, method: EvaluationMethod, model: str | None, count: LabelCount) -> Result | None:
        return next(
            (r for r in self.results if (r.method, r.model, r.labels_per_class) == (method, model, count)), None
        )

    def curve(self, method: EvaluationMethod, model: str | None) -> list[Result]:
        """The results of a method by number of labels."""
        found = (self.find(method, model, count) for count in self.counts)
        return [result for result in found if result is not None]


def compare(first: Result, second: Result, metric: str) -> Comparison | None:
    """Compares two results run by run. None where a run lacks the metric.

    The interval of the difference has two parts: that over seeds by Student's t, where there are several, and the
    sampling error of the test items, which both results share. Both parts are of paired differences.
    """
    values, others = first.values(metric), second.values(metric)
    if not values or len(values) != len(others):
        return None
    difference = summarize([a - b for a, b in zip(values, others, strict=True)])
    if first.contributions is not None and second.contributions is not None:
        items = first.contributions.astype(np.float64) - second.contributions
        difference = combine(difference, items)
    return Comparison(first, second, metric, difference)


# Whose results of one model are compared, and with which others.
_PAIRS: tuple[tuple[EvaluationMethod, EvaluationMethod], ...] = (
    ("linear_probe", "baseline"),
    ("linear_probe", "random_encoder"),
    ("linear_probe", "from_scratch"),
    ("fine_tune", "baseline"),
    ("fine_tune", "linear_probe"),
    ("fine_tune", "from_scratch"),
)


def compare_all(findings: Findings) -> list[Comparison]:
    """Compares the methods of each model by `_PAIRS`, and the linear probe of each model with that of each other."""
    found = []
    for count in findings.counts:
        for place, model in enumerate(findings.models):
            pairs = [[findings.find(method, _owner(method, model), count) for method in pair] for pair in _PAIRS]
            probe = findings.find("linear_probe", model, count)
            pairs += [[probe, findings.find("linear_probe", other, count)] for other in findings.models[place + 1 :]]
            found += [compare(one, other, findings.metric) for one, other in pairs if one and other]
    return [each for each in found if each is not None]


def _owner(method: EvaluationMethod, model: str) -> str | None:
    return None if method == "baseline" else model
