"""The results of an evaluation, as they come, and what is known of its data and models."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from app.datasets.label_checks import EvaluationData
from app.evaluation.metrics import Interval, Scores, summarize
from app.evaluation.splits import LabelCount
from app.evaluation.vectors import Spread
from app.types import EvaluationMethod

_NORMAL = 1.96  # deviations on each side of a 95 % interval


@dataclass(frozen=True)
class Result:
    """The scores of a method with a number of labels, one a run.

    model: as name@version; None for a method without a model. labels: of the training subset, on average over runs.
    test_items: that a run scores, on average. strengths: the regularization that each run has chosen.
    """

    method: EvaluationMethod
    model: str | None
    labels_per_class: LabelCount
    labels: float
    runs: Sequence[Scores]
    test_items: float = 0.0
    strengths: Sequence[float | None] = ()

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

    The interval of several runs is that over seeds. That of one run is the sampling error of the test items, as if the
    two results were independent, which is wider than that of a paired test.
    """
    values, others = first.values(metric), second.values(metric)
    if not values or len(values) != len(others):
        return None
    difference = summarize([a - b for a, b in zip(values, others, strict=True)])
    if len(values) == 1:
        error = math.hypot(_sampling_error(first, metric), _sampling_error(second, metric))
        difference = difference._replace(low=difference.mean - error, high=difference.mean + error)
    return Comparison(first, second, metric, difference)


def _sampling_error(result: Result, metric: str) -> float:
    """Half of the 95 % interval of a single run, by the normal approximation for a share or a correlation."""
    value = result.values(metric)[0]
    variance = value * (1 - value) if metric == "accuracy" else (1 - value**2) ** 2
    return _NORMAL * math.sqrt(variance / max(result.test_items, 1))


def compare_all(findings: Findings) -> list[Comparison]:
    """Compares the linear probe of each model with the baseline, the random encoder, and that of each other model."""
    found = []
    for count in findings.counts:
        for place, model in enumerate(findings.models):
            probe = findings.find("linear_probe", model, count)
            others = [findings.find("baseline", None, count), findings.find("random_encoder", model, count)]
            others += [findings.find("linear_probe", other, count) for other in findings.models[place + 1 :]]
            found += [compare(probe, other, findings.metric) for other in others if probe and other]
    return [each for each in found if each is not None]
