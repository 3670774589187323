"""Metrics of jobs, training, workers and Redis, which are read at each scrape of /metrics."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Protocol

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from app.jobs.connection import StorageError
from app.jobs.kinds import JobState
from app.jobs.overview import JobsState, RedisState
from app.jobs.spec import Job
from app.jobs.workers import WorkerInfo

_MAX_WORKERS = 256  # each becomes a label value

_log = logging.getLogger(__name__)


class Overview(Protocol):
    def read(self) -> JobsState:
        """Raises StorageError."""


class JobsCollector(Collector):
    """Jobs, training, workers and Redis. While Redis is away, there is only `cloze_redis_up`."""

    def __init__(self, overview: Overview) -> None:
        self._overview = overview

    def describe(self) -> Iterator[Metric]:
        yield from ()

    def collect(self) -> Iterator[Metric]:
        try:
            state = self._overview.read()
        except StorageError as error:
            _log.warning("Redis does not answer, so the metrics of jobs are missing: %s", error)
            yield _redis_up(0)
            return
        yield _redis_up(1)
        yield from _of_redis(state.redis)
        yield _labelled("cloze_jobs", "Jobs of all kinds, without sweeps that wait for jobs", "state", state.states)
        yield _labelled("cloze_jobs_waiting", "Jobs that wait for a worker", "kind", state.waiting)
        yield GaugeMetricFamily("cloze_webhooks_pending", "Webhooks that are yet to be sent", value=state.webhooks)
        yield from _of_workers(state.workers[:_MAX_WORKERS])
        yield from _of_training([job for job in state.running if job.spec.kind == "pretraining"], state.losses)


def _redis_up(value: int) -> Metric:
    return GaugeMetricFamily("cloze_redis_up", "Whether the Redis of the jobs answers", value=value)


def _labelled(name: str, help_text: str, label: str, values: Mapping[str, float] | Mapping[JobState, int]) -> Metric:
    family = GaugeMetricFamily(name, help_text, labels=[label])
    for of, value in values.items():
        family.add_metric([of], value)
    return family


def _of_redis(redis: RedisState) -> Iterator[Metric]:
    yield GaugeMetricFamily("cloze_redis_ping_seconds", "A round trip to Redis", value=redis.seconds)
    yield GaugeMetricFamily("cloze_redis_memory_bytes", "Memory that Redis uses", value=redis.memory_bytes)
    yield GaugeMetricFamily(
        "cloze_redis_memory_limit_bytes", "Memory that Redis may use; 0 without a limit", value=redis.max_memory_bytes
    )
    yield GaugeMetricFamily(
        "cloze_redis_durable", "Whether the append-only file is on and was last written", value=redis.durable
    )


def _of_workers(workers: Iterable[WorkerInfo]) -> Iterator[Metric]:
    workers = list(workers)
    counts = dict.fromkeys(("idle", "busy", "draining"), 0)
    for worker in workers:
        counts[_status(worker)] += 1
    yield _labelled("cloze_workers", "Workers that are alive", "status", counts)
    uses = {worker.id: worker.use for worker in workers if worker.use is not None}
    for name, help_text, value in (
        ("cloze_worker_memory_bytes", "Memory of a worker's machine", "memory_bytes"),
        ("cloze_worker_memory_available_bytes", "Memory of it that is not in use", "memory_available_bytes"),
        ("cloze_worker_disk_bytes", "Size of a worker's disk", "disk_bytes"),
        ("cloze_worker_disk_free_bytes", "Free bytes of a worker's disk", "disk_free_bytes"),
    ):
        yield _labelled(name, help_text, "worker", {worker: getattr(use, value) for worker, use in uses.items()})


def _status(worker: WorkerInfo) -> str:
    busy = any((worker.job_id, worker.import_id, worker.evaluation_id))
    return "draining" if worker.draining else "busy" if busy else "idle"


def _step_rate(job: Job) -> float | None:
    """Returns the steps per second, by the tokens per second and the mean tokens of a step."""
    done, rate = job.progress, job.progress.tokens_per_second
    return None if rate is None or not done.tokens else rate * done.step / done.tokens


_PROGRESS: tuple[tuple[str, str, Callable[[Job], float | None]], ...] = (
    ("cloze_training_step", "Optimizer steps of a running job", lambda job: job.progress.step),
    (
        "cloze_training_progress_ratio",
        "Share of a running job that is done",
        lambda job: job.progress.percent / 100,
    ),
    (
        "cloze_training_tokens_per_second",
        "Tokens that a running job trains on per second",
        lambda job: job.progress.tokens_per_second,
    ),
    ("cloze_training_steps_per_second", "Optimizer steps of a running job per second", _step_rate),
    ("cloze_training_attempt", "Number of the attempt of a running job", lambda job: job.attempt),
)


def _of_training(jobs: Iterable[Job], losses: Mapping[str, float]) -> Iterator[Metric]:
    """Yields series of the jobs that run now, so there are no more of them than workers."""
    jobs = list(jobs)
    for name, help_text, measure in _PROGRESS:
        values = {job.id: value for job in jobs if (value := measure(job)) is not None}
        yield _labelled(name, help_text, "job_id", values)
    found = {job.id: losses[job.id] for job in jobs if job.id in losses}
    yield _labelled("cloze_training_loss", "Last training loss of a running job", "job_id", found)
