"""The hooks of an evaluation's job: its report is written often enough, and in any case when the job stops."""

import json
from typing import Any

import pytest

from app.datasets.label_checks import check_labels
from app.datasets.labelled import LabelledItem, LabelledItems, Part
from app.evaluation.results import Findings, Result
from app.training.hooks import Stopped
from app.worker.evaluation_job import JobHooks
from tests.fakes.clock import Clock


class FakeReports:
    """Keeps the reports. reason: why the job is to stop. seconds: that each report takes."""

    def __init__(self, clock: Clock, seconds: float = 0.0) -> None:
        self.clock, self.seconds = clock, seconds
        self.reason: str | None = None
        self.written: list[int] = []  # results of each report
        self.events: list[str] = []

    def should_stop(self) -> str | None:
        return self.reason

    def save_artifact(self, name: str, content: bytes) -> None:
        self.clock.now += self.seconds
        self.written.append(len(json.loads(content)["results"]))

    def on_event(self, message: str, **options: Any) -> None:
        self.events.append(message)

    def report_progress(self, progress: Any) -> None:
        pass


def make_findings() -> Findings:
    items = [LabelledItem(f"text {n}", "ab"[n % 2], Part.EITHER, f"row {n}") for n in range(8)]
    return Findings(check_labels(LabelledItems(items)), "accuracy", "TF-IDF", ["m@1"], ["all"])


def test_a_report_is_written_at_intervals_and_when_the_job_stops() -> None:
    clock = Clock(100.0)
    reports: Any = FakeReports(clock, seconds=2.0)
    hooks, findings = JobHooks(reports, clock=clock), make_findings()
    for number in range(50):
        findings.results.append(Result("knn", "m@1", number, 2.0, [{"accuracy": 0.5}]))
        hooks.on_result(findings)
        clock.now += 1.0
    assert reports.written == [1, 41]  # the second one 20 times as long after the first as that took
    assert len(reports.events) == 50
    reports.reason = "pause"
    with pytest.raises(Stopped, match="pause"):
        hooks.on_share(0.5)
    hooks.save_report()
    hooks.save_report()
    assert reports.written == [1, 41, 50]
