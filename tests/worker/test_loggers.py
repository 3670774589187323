"""Metrics beside the record: what TensorBoard and MLflow themselves read of them."""

import struct
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from app.errors import NotReady
from app.jobs.kinds import JobState, PretrainingSpec
from app.jobs.spec import Job
from app.worker.loggers import open_loggers
from app.worker.reports import Reports
from app.worker.tensorboard import TensorBoardLogger

JOB = Job(
    id="ftjob-1",
    spec=PretrainingSpec(
        model="bert-tiny",
        method="mlm",
        hyperparameters={"max_steps": 8, "epochs": None},
        training_files=("file-1",),
        name="tiny",
        metadata={"team": "docs"},
    ),
    state=JobState.RUNNING,
    created_at=0,
)


def log_steps(folder: Path, *steps: int, tracking_uri: str | None = None, status: Any = "FINISHED") -> None:
    with open_loggers(JOB, folder, tracking_uri, "cloze") as loggers:
        for step in steps:
            loggers.log(step, {"train_loss": 1 / step, "system/cpu_utilization_percentage": 50.0})
        loggers.status = status


def records(file: Path) -> list[bytes]:
    """The events of a TFRecord file, as bytes."""
    content, found = file.read_bytes(), []
    while content:
        (length,) = struct.unpack("<Q", content[:8])
        found.append(content[12 : 12 + length])
        content = content[16 + length :]
    return found


def test_the_bytes_are_those_of_tensorboards_own_writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Golden: what the EventFileWriter of tensorboard 2.21 makes of the same two events, checksums included."""
    monkeypatch.setattr("app.worker.tensorboard.time.time", lambda: 1_700_000_000.25)
    logger = TensorBoardLogger(tmp_path)
    logger.log(300, {"train_loss": 0.5})
    logger.close("FINISHED")
    [file] = tmp_path.iterdir()
    assert "tfevents" in file.name
    assert file.read_bytes().hex().endswith(GOLDEN)


EVENTS = ["0900001040fc54d94110ac023a020801", "0900001040fc54d94110ac022a130a110a0a747261696e5f6c6f7373150000003f"]
GOLDEN = f"1000000000000000{'95fbfe18'}{EVENTS[0]}{'6b3b88f1'}2100000000000000{'017becf6'}{EVENTS[1]}{'a7271362'}"


def test_a_file_an_attempt_which_takes_back_the_steps_done_again(tmp_path: Path) -> None:
    log_steps(tmp_path, 1, 2, 3)
    log_steps(tmp_path, 3, 4)
    files = sorted((tmp_path / "tensorboard").iterdir())
    assert [len(records(file)) for file in files] == [5, 4]
    assert records(files[1])[1].endswith(b"\x10\x03\x3a\x02\x08\x01")  # step 3, SessionLog START


def test_tensorboard_reads_one_series(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    log_steps(tmp_path, 1, 2, 3)
    log_steps(tmp_path, 3, 4)
    read = accumulator.EventAccumulator(str(tmp_path / "tensorboard"))
    read.Reload()
    assert set(read.Tags()["scalars"]) == {"train_loss", "system/cpu_utilization_percentage"}
    assert [(e.step, e.value) for e in read.Scalars("train_loss")] == [
        (step, pytest.approx(1 / step)) for step in (1, 2, 3, 4)
    ]


def test_mlflow_has_one_run_a_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # the light package has no other that is local
    mlflow = pytest.importorskip("mlflow")
    uri = f"file:{tmp_path / 'mlruns'}"
    log_steps(tmp_path, 1, 2, tracking_uri=uri, status="KILLED")
    log_steps(tmp_path, 2, 3, tracking_uri=uri)  # resumed, it does a step again
    client = mlflow.MlflowClient(uri)
    [run] = client.search_runs([client.get_experiment_by_name("cloze").experiment_id])
    assert (run.info.run_name, run.info.status) == ("tiny", "FINISHED")
    assert run.data.params == {"max_steps": "8"}
    assert (run.data.tags["cloze.job_id"], run.data.tags["team"]) == ("ftjob-1", "docs")
    history = client.get_metric_history(run.info.run_id, "train_loss")
    assert [(m.step, m.value) for m in history] == [(1, 1.0), (2, 0.5), (3, 1 / 3)]
    assert run.data.metrics["system/cpu_utilization_percentage"] == 50


def test_an_mlflow_that_does_not_answer_ends_no_job(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("mlflow")
    log_steps(tmp_path, 1, tracking_uri="http://127.0.0.1:1")
    assert "MLflow refused the metrics of step 1" in caplog.text


def test_an_mlflow_that_is_not_installed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(NotReady, match=r"pip install 'cloze\[tracking\]'"):
        log_steps(tmp_path, 1, tracking_uri="file:mlruns")


def test_reports_add_the_machines_metrics_and_tell_the_loggers() -> None:
    stored: list[dict[str, Any]] = []
    logged: list[tuple[int, dict[str, float]]] = []
    jobs: Any = SimpleNamespace(append_event=lambda claim, message, **event: stored.append(event["data"]))
    system: Any = SimpleNamespace(sample=lambda: {"system/x": 1.0})
    loggers: Any = SimpleNamespace(log=lambda step, metrics: logged.append((step, metrics)))
    claim: Any = None
    reports = Reports(jobs, claim, Path(), lambda: False)
    reports.attach(system, loggers)
    reports.on_event("Step 1", {"step": 1, "train_loss": 0.5}, kind="metrics")
    reports.on_event("Resumed")
    assert stored == [{"step": 1, "train_loss": 0.5, "system/x": 1.0}, {}]
    assert logged == [(1, {"train_loss": 0.5, "system/x": 1.0})]
