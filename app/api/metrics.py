"""Prometheus metrics at /metrics: requests by route, batches, models, jobs. Each application has its own registry."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.errors import CLIENT_CLOSED_REQUEST
from app.inference.answer_cache import AnswerCache
from app.jobs.kinds import JobState
from app.types import Task

UNMATCHED = "unmatched"  # one label for all unknown paths, so that scanners create no series

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
_TOKENS = (16, 64, 256, 1024, 4096, 8192, 16384, 32768, 65536)

_log = logging.getLogger(__name__)


class ServerMetrics:
    """The metrics of the server. Also the observer of the engine and of the cache of answers."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        route = ("method", "route")
        self.requests = Counter("cloze_requests", "Requests answered", (*route, "status"), registry=self.registry)
        self.errors = Counter("cloze_request_errors", "Requests that failed", (*route, "code"), registry=self.registry)
        self.latency = Histogram(
            "cloze_request_seconds", "From request to full answer", route, buckets=_SECONDS, registry=self.registry
        )
        batch = ("model", "task", "device")
        self.batch_size = Histogram(
            "cloze_batch_size", "Inputs of a batch", batch, buckets=_SIZES, registry=self.registry
        )
        self.batch_tokens = Histogram(
            "cloze_batch_tokens", "Tokens of a batch, without padding", batch, buckets=_TOKENS, registry=self.registry
        )
        self.batch_seconds = Histogram(
            "cloze_batch_seconds", "A batch on the device", batch, buckets=_SECONDS, registry=self.registry
        )
        self.load_seconds = Histogram(
            "cloze_model_load_seconds", "Loading and warming up", ("model",), buckets=_SECONDS, registry=self.registry
        )

        self.cache_inputs = Counter(
            "cloze_cache_inputs",
            "Inputs by how they were answered: hit (from the cache), shared (by a computation of the same input)"
            " or computed",
            ("model", "task", "outcome"),
            registry=self.registry,
        )

    def on_answers(self, model: str, task: Task, *, hits: int, shared: int, computed: int) -> None:
        for outcome, count in (("hit", hits), ("shared", shared), ("computed", computed)):
            if count:
                self.cache_inputs.labels(model, task, outcome).inc(count)

    def on_batch(self, model: str, task: Task, device: str, *, size: int, tokens: int, seconds: float) -> None:
        self.batch_size.labels(model, task, device).observe(size)
        self.batch_tokens.labels(model, task, device).observe(tokens)
        self.batch_seconds.labels(model, task, device).observe(seconds)

    def on_load(self, model: str, seconds: float) -> None:
        self.load_seconds.labels(model).observe(seconds)

    def watch_engine(self, queue_depth: Callable[[], int], loaded: Callable[[], int]) -> None:
        """Adds gauges whose functions are called at every scrape."""
        Gauge("cloze_queue_depth", "Inputs that wait for the device", registry=self.registry).set_function(queue_depth)
        Gauge("cloze_loaded_models", "Models in memory", registry=self.registry).set_function(loaded)

    def watch_devices(self, devices: Sequence[str], weight_bytes: Callable[[str], int]) -> None:
        """Adds a gauge of the bytes of the weights on each device."""
        gauge = Gauge("cloze_weight_bytes", "Bytes of weights in memory", ("device",), registry=self.registry)
        for device in devices:
            gauge.labels(device).set_function(partial(weight_bytes, device))

    def watch_cache(self, cache: AnswerCache) -> None:
        """Adds the size of the cache of answers, which is read at every scrape."""
        answers = Gauge("cloze_cache_answers", "Answers in the cache", registry=self.registry)
        answers.set_function(lambda: cache.size.answers)
        size = Gauge("cloze_cache_answer_bytes", "Bytes of the answers in the cache", registry=self.registry)
        size.set_function(lambda: cache.size.bytes)
        failures = Gauge(
            "cloze_cache_failures", "Calls since the start that the cache did not answer", registry=self.registry
        )
        failures.set_function(lambda: cache.failures)

    def watch_jobs(self, count_by_state: Callable[[], Mapping[JobState, int]]) -> None:
        self.registry.register(_JobsCollector(count_by_state))

    def render(self) -> bytes:
        """Renders the metrics as text. Blocks while it queries the job store."""
        return generate_latest(self.registry)


class _JobsCollector(Collector):
    """Counts jobs by state. The metric has no values while the job store is unavailable."""

    def __init__(self, count_by_state: Callable[[], Mapping[JobState, int]]) -> None:
        self._counts_by_state = count_by_state

    def describe(self) -> Iterator[GaugeMetricFamily]:
        yield GaugeMetricFamily(
            "cloze_jobs", "Jobs of all kinds, without sweeps that wait for their jobs", labels=["state"]
        )

    def collect(self) -> Iterator[GaugeMetricFamily]:
        for family in self.describe():
            try:
                for state, count in self._counts_by_state().items():
                    family.add_metric([state], count)
            except Exception:
                _log.warning("the metrics lack jobs: the job store does not answer", exc_info=True)
            yield family


class MetricsMiddleware:
    """Counts and times every request by its route's path template."""

    def __init__(self, app: ASGIApp, metrics: ServerMetrics) -> None:
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status = 500
        started = time.perf_counter()

        async def send_and_record(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, send_and_record)
        finally:
            route = getattr(scope.get("route"), "path", UNMATCHED)
            labels = (scope["method"] if route != UNMATCHED else UNMATCHED, route)
            self.metrics.requests.labels(*labels, str(status)).inc()
            self.metrics.latency.labels(*labels).observe(time.perf_counter() - started)
            if status >= 400 and status != CLIENT_CLOSED_REQUEST:
                code = scope.get("state", {}).get("error_code", "internal_error")
                self.metrics.errors.labels(*labels, code).inc()
