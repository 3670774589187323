"""The report of an evaluation without training labels: sentences, JSON, CSV and Markdown."""

import csv
import io
from typing import Any

from app.evaluation.markdown import write_table
from app.evaluation.report import SCHEMA_VERSION
from app.evaluation.text_methods import TEXT_FIGURES
from app.evaluation.text_run import TextDifference, TextFindings, TextResult

_NAMES = {
    "spearman": "Spearman",
    "pearson": "Pearson",
    "accuracy": "accuracy",
    "bits_per_character": "bits per character",
    "pseudo_perplexity": "pseudo-perplexity per token",
    "loss": "loss of masked tokens",
}
_SHOWN_GROUPS = 100  # in the Markdown


def build_text_report(findings: TextFindings, *, complete: bool) -> dict[str, Any]:
    """Returns the report as JSON values. It has the fields of other evaluations, with `groups` of each result.

    complete: whether the evaluation has ended.
    """
    data = findings.data
    return {
        "object": "evaluation.report",
        "schema_version": SCHEMA_VERSION,
        "complete": complete,
        "metric": findings.metric,
        "baseline": "",
        "labels_per_class": [],
        "summary": describe_text_findings(findings),
        "advice": "",
        "data": {
            "items": len(data.rows),
            "training_items": None,
            "test_items": None,
            "classes": {},
            "skipped_rows": data.skipped_count,
            "skipped": [row._asdict() for row in data.skipped],
            "unused_validation_rows": 0,
            "dropped_duplicates": 0,
            "duplicates": [],
        },
        "warnings": findings.warnings,
        "models": [
            {"id": model, "dimensions": None, "rank_me": None, "mean_cosine": None} for model in findings.models
        ],
        "results": [_describe_result(findings, result) for result in findings.results],
        "comparisons": [_describe_difference(findings, each) for each in findings.differences],
    }


def _describe_result(findings: TextFindings, result: TextResult) -> dict[str, Any]:
    return {
        "method": findings.method,
        "model": result.model,
        "labels_per_class": 0,
        "labels": 0,
        "items": result.rows,
        "runs": [{name: interval.mean for name, interval in result.figures.items()}],
        "regularization": [],
        "metrics": {name: interval._asdict() for name, interval in result.figures.items()},
        "groups": [{"group": each.group, "items": each.rows, findings.metric: each.value} for each in result.groups],
    }


def _describe_difference(findings: TextFindings, difference: TextDifference) -> dict[str, Any]:
    return {
        "first": {"method": findings.method, "model": difference.first},
        "second": {"method": findings.method, "model": difference.second},
        "labels_per_class": 0,
        "metric": findings.metric,
        "difference": difference.difference._asdict(),
    }


def describe_text_findings(findings: TextFindings) -> list[str]:
    """Returns the findings in sentences: each model by itself, and each two compared."""
    sentences = [_describe_model(findings, result) for result in findings.results]
    return sentences + [_compare(findings, each) for each in findings.differences]


def _describe_model(findings: TextFindings, result: TextResult) -> str:
    value = {name: interval.mean for name, interval in result.figures.items()}
    if findings.method == "minimal_pairs":
        weakest = min(result.groups, key=lambda each: each.value, default=None)
        but = (
            f", and in {_percent(weakest.value)} of those of the group {weakest.group}, its weakest" if weakest else ""
        )
        return (
            f"{result.model} prefers the good text in {_percent(value['accuracy'])} of {result.rows:,} pairs, where"
            f" chance is 50 %{but}."
        )
    if findings.method == "masked_accuracy":
        return (
            f"{result.model} needs {value['bits_per_character']:.3f} bits per character of {result.rows:,} texts, has a"
            f" pseudo-perplexity of {value['pseudo_perplexity']:.2f} per token, and finds"
            f" {_percent(value['accuracy'])} of the masked tokens."
        )
    return (
        f"The cosines of {result.model} have a rank correlation of {value['spearman']:.3f} with the scores of"
        f" {result.rows:,} pairs."
    )


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _compare(findings: TextFindings, difference: TextDifference) -> str:
    first, second, interval = difference.first, difference.second, difference.difference
    if interval.low is None or interval.high is None or interval.low <= 0 <= interval.high:
        return f"{first} and {second} cannot be told apart."
    if (interval.mean < 0) != TEXT_FIGURES[findings.method].lower_is_better:
        first, second = second, first
    return f"{first} is better than {second} by {abs(interval.mean):.3f} in {_NAMES[findings.metric]}."


def write_text_csv(findings: TextFindings) -> str:
    """Returns one row for each model and figure, and for each group of rows."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["method", "model", "metric", "group", "value", "low", "high", "items"])
    for result in findings.results:
        for name, interval in result.figures.items():
            numbers = [f"{value:.6g}" for value in interval[:3] if value is not None]
            writer.writerow([findings.method, result.model, name, "", *numbers, result.rows])
        for each in result.groups:
            row = [findings.method, result.model, findings.metric, each.group, f"{each.value:.6g}", "", "", each.rows]
            writer.writerow(row)
    return stream.getvalue()


def write_text_markdown(name: str, findings: TextFindings) -> str:
    """Returns the sentences, a table of models × figures, one of groups, and the warnings."""
    names = list(TEXT_FIGURES[findings.method].statistics)
    rows = [
        [result.model, *(f"{value:.3f} ({low:.3f} to {high:.3f})" for value, low, high, _ in result.figures.values())]
        for result in findings.results
    ]
    sections = [
        f"# {name}",
        " ".join(describe_text_findings(findings)),
        "## Figures\n\n" + write_table(["model", *(_NAMES[each] for each in names)], rows),
        "In brackets the 95 % interval, by the bootstrap over rows.",
        _groups(findings),
        "## Warnings\n\n" + "\n".join(f"- {each}" for each in findings.warnings) if findings.warnings else "",
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _groups(findings: TextFindings) -> str:
    found = {each.group: each.rows for result in findings.results for each in result.groups}
    values = [{each.group: f"{each.value:.3f}" for each in result.groups} for result in findings.results]
    rows = [
        [group, str(found[group]), *(column.get(group, "") for column in values)]
        for group in sorted(found)[:_SHOWN_GROUPS]
    ]
    head = ["group", "rows", *(result.model for result in findings.results)]
    name = _NAMES[findings.metric]
    title = f"## {name[0].upper()}{name[1:]} by group\n\n"
    more = f"\n\n{len(found) - _SHOWN_GROUPS:,} more are in report.csv." if len(found) > _SHOWN_GROUPS else ""
    return title + write_table(head, rows) + more if rows else ""
