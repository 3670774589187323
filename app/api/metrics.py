"""Prometheus metrics that are counted as things happen: requests, batches, loads. `gauges` has those that are read.

Each application has its own registry. docs/operations.md lists all metrics.
"""

import time

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.errors import CLIENT_CLOSED_REQUEST
from app.types import Task

UNMATCHED = "unmatched"  # one label for all unknown paths, so that scanners create no series
_METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})  # others share the label "other"

disable_created_metrics()  # type: ignore[no-untyped-call]  # when each series began: half as many series again

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
_TOKENS = (16, 64, 256, 1024, 4096, 8192, 16384, 32768, 65536)


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

    def render(self) -> bytes:
        """Renders the metrics as text. Blocks while it queries the job store."""
        return generate_latest(self.registry)


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
            method = scope["method"] if scope["method"] in _METHODS else "other"
            labels = (method if route != UNMATCHED else UNMATCHED, route)
            self.metrics.requests.labels(*labels, str(status)).inc()
            self.metrics.latency.labels(*labels).observe(time.perf_counter() - started)
            if status >= 400 and status != CLIENT_CLOSED_REQUEST:
                code = scope.get("state", {}).get("error_code", "internal_error")
                self.metrics.errors.labels(*labels, code).inc()
