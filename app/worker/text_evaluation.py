"""The work of a job that measures models of text without training labels."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from app.datasets.labelled import LabelledFile
from app.datasets.text_rows import name_columns, read_text_rows
from app.evaluation.embedding import Embedder
from app.evaluation.serialization import serialize
from app.evaluation.text_methods import TEXT_FIGURES
from app.evaluation.text_report import (
    build_text_report,
    describe_text_findings,
    write_text_csv,
    write_text_markdown,
)
from app.evaluation.text_run import TextFindings, TextResult, evaluate_texts
from app.jobs.kinds import EvaluationSpec
from app.jobs.spec import Progress
from app.store.store import ModelEntry
from app.types import TextMethod
from app.worker.reports import Reports

_REPORT = "report.json"


@dataclass(frozen=True)
class TextJob:
    """The part of a job that its work needs."""

    spec: EvaluationSpec
    method: TextMethod
    file: LabelledFile
    models: Sequence[ModelEntry]


class StepHooks(Protocol):
    """The hooks of the job. Both may raise to stop."""

    def on_step(self, message: str) -> None: ...
    def on_share(self, share: float) -> None: ...


def run_text_method(job: TextJob, embedder: Embedder, reports: Reports, hooks: StepHooks) -> None:
    """Measures the models and writes the report. Raises Stopped when the job is to stop."""
    spec = job.spec
    columns = name_columns(
        job.method, text=spec.text_column, pair=spec.pair_column, label=spec.label_column, group=spec.group_column
    )
    data = read_text_rows(job.file, job.method, columns)
    findings = evaluate_texts(job.method, data, job.models, embedder, _Hooks(reports, hooks))
    for warning in findings.warnings:
        reports.on_event(warning, level="warn")
    _finish(spec.name, findings, reports)
    reports.report_progress(Progress(percent=100.0))
    reports.flush()


class _Hooks:
    """Reports the results of a job as they come."""

    def __init__(self, reports: Reports, hooks: StepHooks) -> None:
        self._reports = reports
        self.on_step, self.on_share = hooks.on_step, hooks.on_share

    def on_figures(self, findings: TextFindings) -> None:
        result = findings.results[-1]
        self._reports.save_artifact(_REPORT, _serialize(findings, complete=False))
        value = result.figures[findings.metric].mean
        self._reports.on_event(f"{result.model}, {findings.method}: {findings.metric} {value:.3f}")


def _finish(name: str, findings: TextFindings, reports: Reports) -> None:
    figures = TEXT_FIGURES[findings.method]
    best = _find_best(findings)
    interval = best.figures[findings.metric]
    reports.save_artifact(_REPORT, _serialize(findings, complete=True))
    reports.save_artifact("report.csv", write_text_csv(findings).encode())
    reports.save_artifact("report.md", write_text_markdown(name, findings).encode())
    reports.on_verdict(
        {
            "learnt": None if figures.chance is None or interval.low is None else interval.low > figures.chance,
            "measure": findings.metric,
            "value": interval.mean,
            "baseline": None if figures.chance is None else "chance",
            "baseline_value": figures.chance,
            "summary": " ".join(describe_text_findings(findings)),
        }
    )


def _find_best(findings: TextFindings) -> TextResult:
    sign = -1 if TEXT_FIGURES[findings.method].lower_is_better else 1
    return max(findings.results, key=lambda result: sign * result.figures[findings.metric].mean)


def _serialize(findings: TextFindings, *, complete: bool) -> bytes:
    return serialize(build_text_report(findings, complete=complete))
