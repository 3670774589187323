"""The findings of an evaluation in plain sentences. They also say where a model does not help."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from app.evaluation.results import Comparison, Findings, Result, compare
from app.evaluation.splits import LabelCount
from app.types import EvaluationMethod

_HEADLINE = 10  # labels per class that the first sentence is about, or the nearest number that there is
_FEW_DIMENSIONS = 10.0  # effective dimensions below which vectors have collapsed
_ONE_DIRECTION = 0.95  # mean cosine above which they have

_SCRATCH = "the same network from scratch"

NAMES = {"accuracy": "an accuracy of {}", "auroc": "a mean AUROC of {}", "spearman": "a rank correlation of {}"}


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
    probes = [r for model in findings.models if (r := _find(findings, "linear_probe", model, count)) is not None]
    sentences = [sentence for model in findings.models for sentence in _describe_model(findings, model, count)]
    if not probes:
        return Summary(sentences, "Add the method linear_probe for a comparison with the baseline.")
    if len(probes) > 1:
        sentences.append(_describe_best(findings, probes))
    best = max(probes, key=lambda each: _mean(each, findings.metric))
    baseline = _find(findings, "baseline", None, count)
    comparison = compare(best, baseline, findings.metric) if baseline else None
    wins = comparison.is_better if comparison else None
    return Summary(sentences, _advise(comparison), best, baseline, wins)


def _choose_headline(findings: Findings) -> LabelCount:
    numbers = [count for count in findings.counts if count != "all"]
    if not numbers:
        return "all"
    return min(numbers, key=lambda count: abs(math.log(count / _HEADLINE)))


def _describe_model(findings: Findings, model: str, count: LabelCount) -> list[str]:
    sentences = _against_scratch(findings, model, count)
    probe = _find(findings, "linear_probe", model, count)
    if probe is None:
        return sentences
    reached = f"With {describe_labels(findings, count)}, {model} reaches {_say(probe, findings.metric)}"
    sentences.append(
        _compare_curve(findings, reached, probe, _find_curve(findings, "baseline", None), findings.baseline)
    )
    sentences += _with_all_labels(findings, probe)
    random = _find(findings, "random_encoder", model, count)
    if random is not None and (comparison := compare(probe, random, findings.metric)) is not None:
        sentences.append(_against_random(comparison))
    spread = findings.spreads.get(model)
    if spread and (spread.rank_me < min(_FEW_DIMENSIONS, spread.dimensions / 2) or spread.mean_cosine > _ONE_DIRECTION):
        sentences.append(
            f"The vectors of {model} use about {spread.rank_me:.0f} of {spread.dimensions} dimensions and have a"
            f" mean cosine of {spread.mean_cosine:.2f}, which is a sign of collapse."
        )
    return sentences


def _against_scratch(findings: Findings, model: str, count: LabelCount) -> list[str]:
    """Compares the better one of fine-tuning and linear probe with the same network, trained on the labels alone."""
    curve = _find_curve(findings, "from_scratch", model)
    tuned, probe = (_find(findings, method, model, count) for method in ("fine_tune", "linear_probe"))
    ways = [(f"fine-tuned {model}", tuned), (f"{model} with a linear probe", probe)]
    known = [(subject, result) for subject, result in ways if result is not None]
    if not curve or not known:
        return []
    subject, own = max(known, key=lambda each: _mean(each[1], findings.metric))
    reached = f"With {describe_labels(findings, count)}, {subject} reaches {_say(own, findings.metric)}"
    return [_compare_curve(findings, reached, own, curve, _SCRATCH)]


def _compare_curve(findings: Findings, reached: str, own: Result, curve: Sequence[Result], name: str) -> str:
    """Returns the sentence that begins with `reached`, and says what labels the other curve needs for the same."""
    other = next((each for each in curve if each.labels_per_class == own.labels_per_class), None)
    comparison = compare(own, other, findings.metric) if other else None
    if other is None or comparison is None:
        return reached + "."
    if not comparison.is_better:
        word = "worse" if comparison.is_worse else "not clearly better"
        return f"{reached}, which is {word} than {name} ({_mean(other, findings.metric):.3f})."
    score = _mean(own, findings.metric)
    needed = next((each for each in curve if _mean(each, findings.metric) >= score), None)
    if needed is None:
        return f"{reached}, which {name} does not reach with {describe_labels(findings, curve[-1].labels_per_class)}."
    return f"{reached}, for which {name} needs {describe_labels(findings, needed.labels_per_class)}."


def _with_all_labels(findings: Findings, probe: Result) -> list[str]:
    if probe.labels_per_class == "all":
        return []
    full, baseline = _find(findings, "linear_probe", probe.model, "all"), _find(findings, "baseline", None, "all")
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


def _say(result: Result, metric: str) -> str:
    return NAMES[metric].format(f"{_mean(result, metric):.3f}")


def _mean(result: Result, metric: str) -> float:
    """Returns the mean of a result that has the metric."""
    interval = result.interval(metric)
    assert interval is not None
    return interval.mean


def _find(findings: Findings, method: EvaluationMethod, model: str | None, count: LabelCount) -> Result | None:
    """Returns a result that has the metric by which results are compared."""
    result = findings.find(method, model, count)
    return result if result is not None and result.interval(findings.metric) is not None else None


def _find_curve(findings: Findings, method: EvaluationMethod, model: str | None) -> list[Result]:
    """Returns the results of a method that have the metric by which results are compared."""
    return [result for result in findings.curve(method, model) if result.interval(findings.metric) is not None]
