"""The report of an evaluation as JSON, CSV and Markdown."""

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.datasets.labelled import Part
from app.evaluation.markdown import write_table
from app.evaluation.metrics import Interval
from app.evaluation.mistakes_report import describe_mistakes, excerpt_text, write_mistakes
from app.evaluation.projection import choose_points
from app.evaluation.results import Comparison, Findings, Result, compare_all
from app.evaluation.splits import LabelCount, Split, draw_subset
from app.evaluation.summary import Summary, summarize_findings

SCHEMA_VERSION = 1
_NAMED_DUPLICATES = 1000
_TITLES = {"accuracy": "Accuracy", "auroc": "Mean AUROC", "spearman": "Spearman's correlation"}
_MAP_EXCERPT = 80  # characters of the text of a point


def build_report(findings: Findings, *, complete: bool) -> dict[str, Any]:
    """Returns the report as JSON values. complete: whether the evaluation has ended."""
    summary = summarize_findings(findings)
    return {
        "object": "evaluation.report",
        "schema_version": SCHEMA_VERSION,
        "complete": complete,
        "metric": findings.metric,
        "baseline": findings.baseline,
        "labels_per_class": list(findings.counts),
        "summary": summary.sentences,
        "advice": summary.advice if complete else "",
        "data": _describe_data(findings),
        "warnings": findings.warnings,
        "models": [_describe_model(findings, model) for model in findings.models],
        "results": [_describe_result(result) for result in findings.results],
        "comparisons": [_describe_comparison(each) for each in compare_all(findings)],
        "mistakes": [describe_mistakes(findings.data, each, findings.thumbnails) for each in findings.mistakes],
        "map": _describe_map(findings) if complete and findings.projections else None,
    }


def _describe_data(findings: Findings) -> dict[str, Any]:
    data = findings.data
    parts = {part: len(data.indices(part)) for part in Part}
    return {
        "label_kind": data.kind,
        "items": len(data.items),
        "training_items": parts[Part.TRAIN] or None,
        "test_items": parts[Part.TEST] or None,
        "classes": dict(zip(data.classes, data.class_counts.tolist(), strict=True)),
        "skipped_rows": data.skipped_count,
        "skipped": [row._asdict() for row in data.skipped],
        "unused_validation_rows": data.unused,
        "dropped_duplicates": len(data.duplicates),
        "duplicates": [{"place": a, "repeats": b} for a, b in data.duplicates[:_NAMED_DUPLICATES]],
    }


def _describe_model(findings: Findings, model: str) -> dict[str, Any]:
    spread = findings.spreads.get(model)
    values = (spread.dimensions, spread.rank_me, spread.mean_cosine) if spread else (None, None, None)
    return {"id": model, **dict(zip(("dimensions", "rank_me", "mean_cosine"), values, strict=True))}


def _describe_result(result: Result) -> dict[str, Any]:
    metrics = list(result.runs[0]) if result.runs else []
    found = {metric: result.interval(metric) for metric in metrics}
    return {
        "method": result.method,
        "model": result.model,
        "labels_per_class": result.labels_per_class,
        "labels": result.labels,
        "runs": list(result.runs),
        "regularization": list(result.strengths),
        "metrics": {metric: _describe_interval(each) for metric, each in found.items() if each is not None},
    }


def _describe_comparison(comparison: Comparison) -> dict[str, Any]:
    named = [{"method": each.method, "model": each.model} for each in (comparison.first, comparison.second)]
    return {
        "first": named[0],
        "second": named[1],
        "labels_per_class": comparison.first.labels_per_class,
        "metric": comparison.metric,
        "difference": _describe_interval(comparison.difference),
    }


def _describe_map(findings: Findings) -> dict[str, Any]:
    """Returns the points of each model. It is large, so only the last report has it."""
    items = [findings.data.items[index] for index in choose_points(len(findings.data.items))]
    return {
        "items": [
            {"place": each.place, "text": excerpt_text(each.content, _MAP_EXCERPT), "label": each.label}
            for each in items
        ],
        "projections": [
            {"model": each.model, "shares": list(each.shares), "points": _round(each.points)}
            for each in findings.projections
        ],
    }


def _round(points: NDArray[np.float32]) -> list[list[float]]:
    """Four digits of the largest coordinate are more than a plot can show."""
    digits = 3 - math.floor(math.log10(max(float(np.abs(points).max()), 1e-12)))
    rounded: list[list[float]] = points.astype(np.float64).round(digits).tolist()
    return rounded


def _describe_interval(interval: Interval) -> dict[str, Any]:
    return interval._asdict()


def write_csv(findings: Findings) -> str:
    """Returns one row for each result and metric."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["method", "model", "labels_per_class", "labels", "metric", "mean", "low", "high", "runs"])
    for result in findings.results:
        row = [result.method, result.model or "", result.labels_per_class, f"{result.labels:g}"]
        for metric, interval in _intervals(result):
            writer.writerow([*row, metric, *("" if value is None else f"{value:.6g}" for value in interval)])
    return stream.getvalue()


def _intervals(result: Result) -> Iterator[tuple[str, Interval]]:
    for metric in result.runs[0]:
        if (interval := result.interval(metric)) is not None:
            yield metric, interval


def write_markdown(name: str, findings: Findings, summary: Summary) -> str:
    """Returns the sentences, a table of method × labels, the models and the warnings."""
    kind = "per class" if findings.data.has_classes else "altogether"
    counts: list[LabelCount] = [*findings.counts]
    head = ["method", "model", *(f"{count} {kind}" if count != "all" else "all" for count in counts)]
    rows = [
        [name_method(findings, method), model or "", *(_cell(findings, method, model, count) for count in counts)]
        for method, model in dict.fromkeys((r.method, r.model) for r in findings.results if r.method != "kmeans")
    ]
    sections = [
        f"# {name}",
        " ".join([*summary.sentences, summary.advice]),
        f"## {_TITLES[findings.metric]} by number of labels\n\n{write_table(head, rows)}",
        "Mean over seeds ± half of the 95 % interval. All methods have the same splits.",
        _clusters(findings),
        "## Models\n\n" + write_table(["model", "dimensions", "RankMe", "mean cosine"], _spreads(findings)),
        *(write_mistakes(findings.data, each) for each in findings.mistakes),
        "## Warnings\n\n" + "\n".join(f"- {each}" for each in findings.warnings) if findings.warnings else "",
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def name_method(findings: Findings, method: str) -> str:
    names: Mapping[str, str] = {
        "linear_probe": "linear probe",
        "knn": "nearest neighbours",
        "random_encoder": "linear probe, random weights",
        "kmeans": "k-means, without labels",
        "fine_tune": "fine-tuning",
        "from_scratch": "training from scratch",
        "baseline": f"baseline: {findings.baseline}",
    }
    return names[method]


def _cell(findings: Findings, method: Any, model: str | None, count: LabelCount) -> str:
    result = findings.find(method, model, count)
    interval = result.interval(findings.metric) if result else None
    if interval is None:
        return ""
    return f"{interval.mean:.3f}" + (f" ± {interval.high - interval.mean:.3f}" if interval.high is not None else "")


def _clusters(findings: Findings) -> str:
    found = [result for result in findings.results if result.method == "kmeans"]
    rows = [[result.model or "", *(f"{interval.mean:.3f}" for _, interval in _intervals(result))] for result in found]
    return "## k-means, without labels\n\n" + write_table(["model", *found[0].runs[0]], rows) if found else ""


def _spreads(findings: Findings) -> list[list[str]]:
    return [
        [model, str(spread.dimensions), f"{spread.rank_me:.1f}", f"{spread.mean_cosine:.3f}"]
        for model, spread in findings.spreads.items()
    ]


def _describe_target(target: Any) -> Any:
    """Returns the code of a class, a number, or the codes of all labels that an item has."""
    return np.flatnonzero(target).tolist() if np.ndim(target) else target.item()


def write_splits(findings: Findings, splits: Sequence[Split]) -> bytes:
    """Returns the items with their targets, and the items of each split and subset, as JSON.

    It is written piece by piece: all numbers together, as Python objects, take many times the memory of their text.
    """
    data = findings.data
    stream = io.StringIO()
    stream.write(f'{{"classes": {json.dumps(data.classes)}, "items": [')
    for index, (item, target) in enumerate(zip(data.items, data.targets, strict=True)):
        described = {"place": item.place, "label": item.label, "target": _describe_target(target)}
        stream.write((", " if index else "") + json.dumps(described))
    stream.write('], "splits": [')
    for index, split in enumerate(splits):
        stream.write((", " if index else "") + f'{{"seed": {split.seed}, "test": {json.dumps(split.test.tolist())}')
        subsets = (f'"{count}": {json.dumps(draw_subset(data, split, count).tolist())}' for count in findings.counts)
        stream.write(f', "subsets": {{{", ".join(subsets)}}}}}')
    stream.write("]}")
    return stream.getvalue().encode()
