"""Progress of an import: what its job's record hears, and how it is told to stop."""

from pathlib import PurePosixPath
from types import SimpleNamespace
from typing import Any

import pytest

from app.errors import InvalidModel
from app.training.hooks import Stopped
from app.worker.import_job import JobProgress, find_model_folder


class FakeReports:
    def __init__(self) -> None:
        self.told: list[Any] = []
        self.reason: str | None = None

    def on_event(self, message: str) -> None:
        self.told.append(message)

    def report_progress(self, progress: Any) -> None:
        self.told.append(progress.percent)

    def should_stop(self) -> str | None:
        return self.reason


def test_a_download_is_most_of_the_progress_and_is_reported_now_and_then() -> None:
    reports, clock = FakeReports(), SimpleNamespace(now=0.0)
    progress = JobProgress(reports, clock=lambda: clock.now)  # type: ignore[arg-type]
    progress.begin("Downloading")
    for done in range(0, 101, 10):
        progress.transfer(done, 100)
        clock.now += 0.25
    assert reports.told == ["Downloading", 0.0, 18.0, 36.0, 54.0, 72.0, 90.0]


def test_it_ends_when_the_job_is_to_stop() -> None:
    reports, clock = FakeReports(), SimpleNamespace(now=0.0)
    progress = JobProgress(reports, clock=lambda: clock.now)  # type: ignore[arg-type]
    progress.transfer(0, 0)
    reports.reason = "cancel"
    progress.transfer(1, 10)  # it asks twice a second, not for each piece
    clock.now = 1.0
    for act in (lambda: progress.transfer(2, 10), lambda: progress.begin("Converting")):
        with pytest.raises(Stopped) as caught:
            act()
        assert caught.value.reason == "cancel"


@pytest.mark.parametrize(
    ("names", "folder"),
    [
        (["config.json", "1_Pooling/config.json"], "."),
        (["m/config.json", "m/1_Pooling/config.json"], "m"),
        (["modules.json", "0_Transformer/config.json", "1_Pooling/config.json"], "."),
        (["m/adapter_config.json", "m/adapter_model.safetensors"], "m"),
    ],
)
def test_the_model_is_in_the_outermost_folder_with_a_configuration(names: list[str], folder: str) -> None:
    assert find_model_folder(map(PurePosixPath, names), "a.tar") == PurePosixPath(folder)


def test_an_archive_of_several_models_is_refused() -> None:
    names = [PurePosixPath(name) for name in ("b/config.json", "a/config.json", "README.md")]
    with pytest.raises(InvalidModel, match=r"holds 2 models, in folders such as 'a' and 'b'"):
        find_model_folder(names, "a.tar")
