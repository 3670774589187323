"""The findings of an evaluation in plain sentences. They also say where a model does not help."""

import math
from dataclasses import dataclass

from app.evaluation.results import Comparison, Findings, Result, compare
from app.evaluation.splits import LabelCount

_HEADLINE = 10  # labels per class that the first sentence is about, or the nearest number that there is
_FEW_DIMENSIONS = 10.0  # effective dimensions below which vectors have collapsed
_ONE_DIRECTION = 0.95  # mean cosine above which they have

NAMES = {"accuracy": "an accuracy of {}", "spearman": "a rank correlation of {}"}


@dataclass(frozen=True)
class Summary:
    """beats_baseline: of the best model at the headline's number of labels; None where nothing can be compared."""

    sentences: list[str]
    advice: str = ""
    best: Result | None = None
    baseline: Result | None = None
    beats_baseline: bool | None = None


def summarize_findings(findings: Findings) -> Summary:
    """Compares the models with the baseline, with random weights and with each other."""
    count = _choose_headline(findings)
    probes = [r for model in findings.models if (r := findings.find("linear_probe", model, count)) is not None]
    if not probes:
        return Summary([], "Add the method linear_probe for a comparison with the baseline.")
    sentences = [sentence for probe in probes for sentence in _describe_model(findings, probe)]
    if len(probes) > 1:
        sentences.append(_describe_best(findings, probes))
    best = max(probes, key=lambda each: _mean(each, findings.metric))
    baseline = findings.find("baseline", None, count)
    comparison = compare(best, baseline, findings.metric) if baseline else None
    wins = comparison.is_better if comparison else None
    return Summary(sentences, _advise(comparison), best, baseline, wins)


def _choose_headline(findings: Findings) -> LabelCount:
    numbers = [count for count in findings.counts if count != "all"]
    if not numbers:
        return "all"
    return min(numbers, key=lambda count: abs(math.log(count / _HEADLINE)))


def _describe_model(findings: Findings, probe: Result) -> list[str]:
    sentences = [_with_few_labels(findings, probe), *_with_all_labels(findings, probe)]
    random = findings.find("random_encoder", probe.model, probe.labels_per_class)
    if random is not None and (comparison := compare(probe, random, findings.metric)) is not None:
        sentences.append(_against_random(comparison))
    spread = findings.spreads.get(probe.model or "")
    if spread and (spread.rank_me < min(_FEW_DIMENSIONS, spread.dimensions / 2) or spread.mean_cosine > _ONE_DIRECTION):
        sentences.append(
            f"The vectors of {probe.model} use about {spread.rank_me:.0f} of {spread.dimensions} dimensions and have a"
            f" mean cosine of {spread.mean_cosine:.2f}, which is a sign of collapse."
        )
    return [sentence for sentence in sentences if sentence]


def _with_few_labels(findings: Findings, probe: Result) -> str:
    labels, score = describe_labels(findings, probe.labels_per_class), _mean(probe, findings.metric)
    reached = f"With {labels}, {probe.model} reaches {_say(findings.metric, score)}"
    baseline = findings.find("baseline", None, probe.labels_per_class)
    comparison = compare(probe, baseline, findings.metric) if baseline else None
    if baseline is None or comparison is None:
        return reached + "."
    if not comparison.is_better:
        word = "worse" if comparison.is_worse else "not clearly better"
        return f"{reached}, which is {word} than {findings.baseline} ({_mean(baseline, findings.metric):.3f})."
    needed = _find_needed(findings, score)
    if needed is None:
        most = describe_labels(findings, findings.curve("baseline", None)[-1].labels_per_class)
        return f"{reached}, which {findings.baseline} does not reach with {most}."
    return f"{reached}, for which {findings.baseline} needs {describe_labels(findings, needed.labels_per_class)}."


def _find_needed(findings: Findings, score: float) -> Result | None:
    """Returns the result of the baseline with the fewest labels that has the score."""
    curve = findings.curve("baseline", None)
    return next((each for each in curve if _mean(each, findings.metric) >= score), None)


def _with_all_labels(findings: Findings, probe: Result) -> list[str]:
    if probe.labels_per_class == "all":
        return []
    full, baseline = findings.find("linear_probe", probe.model, "all"), findings.find("baseline", None, "all")
    comparison = compare(full, baseline, findings.metric) if full and baseline else None
    if comparison is None or full is None or baseline is None:
        return []
    word = "better than" if comparison.is_better else "worse than" if comparison.is_worse else "not clearly better than"
    scores = f"{_mean(full, findings.metric):.3f} against {_mean(baseline, findings.metric):.3f}"
    return [f"With all {full.labels:,.0f} labels it is {word} {findings.baseline}: {scores}."]


def _against_random(comparison: Comparison) -> str:
    if comparison.is_better:
        return (
            f"Its pretraining adds {comparison.difference.mean:.3f} to what the same network with random weights gives."
        )
    if comparison.is_worse:
        return f"The same network with random weights is better by {-comparison.difference.mean:.3f}."
    return "Its pretraining adds nothing that can be told from chance: random weights are as good."


def _describe_best(findings: Findings, probes: list[Result]) -> str:
    first, second = sorted(probes, key=lambda each: -_mean(each, findings.metric))[:2]
    comparison = compare(first, second, findings.metric)
    labels = describe_labels(findings, first.labels_per_class)
    if comparison is None or not comparison.is_better:
        return f"With {labels}, {first.model} and {second.model} cannot be told apart."
    return f"With {labels}, {first.model} is better than {second.model} by {comparison.difference.mean:.3f}."


def _advise(comparison: Comparison | None) -> str:
    """comparison: of the best model with the baseline."""
    if comparison is None:
        return "Add the method baseline to see whether a model is needed."
    if comparison.is_better:
        return "Use the vectors of the best model with a linear classifier."
    word = "better" if comparison.is_worse else "as good"
    return (
        f"The plain baseline is {word} here. Pretrain on data of the same kind, or evaluate another model, before you"
        " use one."
    )


def describe_labels(findings: Findings, count: LabelCount) -> str:
    """Returns the words for a number of labels: "5 labels per class", or "5 labels" where the labels are numbers."""
    if count == "all":
        return "all labels"
    plural = "label" if count == 1 else "labels"
    return f"{count} {plural} per class" if findings.data.has_classes else f"{count} {plural}"


def _say(metric: str, value: float) -> str:
    return NAMES[metric].format(f"{value:.3f}")


def _mean(result: Result, metric: str) -> float:
    interval = result.interval(metric)
    return interval.mean if interval else math.nan
