"""Loggers of a job's metrics beside its record: TensorBoard's files always, MLflow if it is configured."""

import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol

from app.errors import NotReady
from app.jobs.spec import Job, pretraining_spec
from app.worker.tensorboard import TensorBoardLogger

Status = Literal["FINISHED", "FAILED", "KILLED"]  # MLflow's words

_WAITING = 1000  # steps that may wait for MLflow; beyond them the newest are dropped
_GRACE = 30.0  # seconds that MLflow has at the end
_JOB_TAG = "cloze.job_id"

_log = logging.getLogger(__name__)


class MetricLogger(Protocol):
    """Called from the training thread, so it must not wait for anything far away."""

    def log(self, step: int, metrics: Mapping[str, float]) -> None: ...

    def close(self, status: Status) -> None: ...


class Loggers:
    """Several as one. `status` is what they are told at the end."""

    def __init__(self, loggers: Sequence[MetricLogger]) -> None:
        self._loggers = loggers
        self.status: Status = "FAILED"

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        for logger in self._loggers:
            logger.log(step, metrics)

    def close(self) -> None:
        for logger in self._loggers:
            logger.close(self.status)


@contextmanager
def open_loggers(job: Job, folder: Path, tracking_uri: str | None, experiment: str) -> Iterator[Loggers]:
    """folder: the job's own. Raises NotReady if MLflow is set and not installed."""
    loggers: list[MetricLogger] = [] if tracking_uri is None else [MlflowLogger(job, tracking_uri, experiment)]
    opened = Loggers([TensorBoardLogger(folder / "tensorboard"), *loggers])
    try:
        yield opened
    finally:
        opened.close()


class MlflowLogger:
    """One MLflow run a job, whatever the number of its attempts; a thread sends what is logged.

    A resumed attempt does steps again, of which MLflow would keep both values: what the run has is not sent.
    """

    def __init__(self, job: Job, tracking_uri: str, experiment: str) -> None:
        # Its own patience is minutes, for which a job would wait at its end.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
        try:
            from mlflow import MlflowClient
        except ModuleNotFoundError as e:
            message = "CLOZE_MLFLOW_TRACKING_URI is set, but mlflow is not installed: pip install 'cloze[tracking]'"
            raise NotReady(message) from e
        self._client = MlflowClient(tracking_uri)
        self._job, self._experiment = job, experiment
        self._run_id: str | None = None
        self._last_steps: dict[str, int] = {}  # of each metric that earlier attempts have sent
        self._waiting: queue.Queue[tuple[int, int, dict[str, float]] | None] = queue.Queue(_WAITING)
        self._status: Status = "FAILED"
        self._thread = threading.Thread(target=self._send, name="mlflow", daemon=True)
        self._thread.start()

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        try:
            self._waiting.put_nowait((step, time.time_ns() // 1_000_000, dict(metrics)))
        except queue.Full:
            _log.warning("MLflow is slow: the metrics of step %d are not sent to it", step)

    def close(self, status: Status) -> None:
        self._status = status
        try:
            self._waiting.put(None, timeout=_GRACE)
        except queue.Full:
            _log.warning("MLflow is slow: the end of the run is not sent to it")
            return
        self._thread.join(_GRACE)

    def _send(self) -> None:
        while (item := self._waiting.get()) is not None:
            self._attempt(f"the metrics of step {item[0]}", partial(self._send_metrics, *item))
        self._attempt("the end of the run", lambda: self._client.set_terminated(self._run(), self._status))

    def _attempt(self, what: str, call: Callable[[], None]) -> None:
        try:
            call()
        except Exception as e:  # its own errors, its HTTP client's, its stores': the job's record has it all
            _log.warning("MLflow refused %s: %s", what, e)

    def _send_metrics(self, step: int, milliseconds: int, metrics: Mapping[str, float]) -> None:
        from mlflow.entities import Metric

        run_id = self._run()
        fresh = {key: value for key, value in metrics.items() if step > self._last_steps.get(key, -1)}
        points = [Metric(key, value, milliseconds, step) for key, value in fresh.items()]
        self._client.log_batch(run_id, metrics=points)

    def _run(self) -> str:
        if self._run_id is None:
            run_id = _find_run(self._client, self._job, self._experiment)
            self._last_steps = _last_steps(self._client, run_id)
            self._run_id = run_id
        return self._run_id


def _last_steps(client: Any, run_id: str) -> dict[str, int]:
    keys = client.get_run(run_id).data.metrics
    return {key: max(point.step for point in client.get_metric_history(run_id, key)) for key in keys}


def _find_run(client: Any, job: Job, experiment: str) -> str:
    """The run of the job's earlier attempts, or a new one."""
    found = client.get_experiment_by_name(experiment)
    experiment_id = found.experiment_id if found else client.create_experiment(experiment)
    runs = client.search_runs([experiment_id], f"tags.`{_JOB_TAG}` = '{job.id}'", max_results=1)
    if runs:
        run_id = str(runs[0].info.run_id)
        client.update_run(run_id, status="RUNNING")
        return run_id
    tags = {_JOB_TAG: job.id, "cloze.model": job.spec.source, **job.spec.metadata}
    run_id = str(client.create_run(experiment_id, run_name=job.spec.name, tags=tags).info.run_id)
    for key, value in pretraining_spec(job).hyperparameters.items():
        if value is not None:
            client.log_param(run_id, key, value)
    return run_id
