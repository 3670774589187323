"""Traces with OpenTelemetry, exported with OTLP over HTTP. Needs the extra `otel`."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Link, Span, SpanContext, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from app.telemetry.tracing import SPAN

_EXPORT_SECONDS = 5.0  # for one export
_STEPS_PAUSE = 10.0  # seconds between two spans of training steps, at least
_MAX_STEPS_SPANS = 1000  # of one attempt
_MAX_LINKS = 128  # of a batch

_log = logging.getLogger(__name__)
_propagator = TraceContextTextMapPropagator()


class OtlpTracing:
    """endpoint: the address of the collector, such as http://127.0.0.1:4318. ratio: share of new traces, 0 to 1.

    service: the role of this process, such as `cloze-api`.
    """

    def __init__(self, endpoint: str, ratio: float, service: str, version: str) -> None:
        self._provider = TracerProvider(
            resource=Resource.create({"service.name": service, "service.version": version}),
            sampler=ParentBased(TraceIdRatioBased(ratio)),
            shutdown_on_exit=False,
        )
        exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces", timeout=_EXPORT_SECONDS)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self.tracer = self._provider.get_tracer("cloze", version)

    @contextmanager
    def request(self, method: str, headers: Mapping[str, str]) -> Iterator[Span]:
        """Makes the span of a request, which continues the trace that its headers name."""
        parent = _propagator.extract(headers)
        span = self.tracer.start_span(method, context=parent, kind=SpanKind.SERVER)
        with _running(span):
            yield span

    @contextmanager
    def inference(self, model: str, task: str, inputs: int) -> Iterator[None]:
        """Makes a span of a task of a model, for a request that is traced."""
        parent: SpanContext | None = SPAN.get()
        if parent is None:
            yield
            return
        attributes: dict[str, str | int] = {"cloze.model": model, "cloze.task": task, "cloze.inputs": inputs}
        span = self.tracer.start_span("inference", context=_context_of(parent), attributes=attributes)
        with _running(span):
            yield

    def on_batch(
        self, attributes: Mapping[str, Any], spans: Sequence[Any], *, collated_ns: int, forward_seconds: float
    ) -> None:
        """Makes spans of a batch and of its forward. The batch is in the trace of its first input, and links to all."""
        served = list({span.span_id: span for span in spans if span is not None}.values())
        if not served:
            return
        try:
            self._record_batch(attributes, served, collated_ns, forward_seconds)
        except Exception:  # the batch has its results
            _log.exception("a batch is not traced")

    def _record_batch(
        self, attributes: Mapping[str, Any], served: Sequence[SpanContext], collated_ns: int, forward_seconds: float
    ) -> None:
        ended = time.time_ns()
        links = [Link(span) for span in served[:_MAX_LINKS]]
        named = {f"cloze.{name}": value for name, value in attributes.items()}
        batch = self.tracer.start_span(
            "batch", context=_context_of(served[0]), links=links, attributes=named, start_time=collated_ns
        )
        forward = self.tracer.start_span(
            "forward", context=_context_of(batch.get_span_context()), start_time=ended - int(forward_seconds * 1e9)
        )
        forward.end(ended)
        batch.end(ended)

    @contextmanager
    def attempt(self, job_id: str, attempt: int, origin: str | None) -> Iterator["OtlpJobTrace"]:
        """Makes a span of an attempt, in a trace of its own, which links to the request that made the job."""
        parent = trace.get_current_span(_propagator.extract({"traceparent": origin or ""})).get_span_context()
        span = self.tracer.start_span(
            "attempt",
            context=Context(),
            kind=SpanKind.CONSUMER,
            links=[Link(parent)] if parent.is_valid else [],
            attributes={"cloze.job_id": job_id, "cloze.attempt": attempt},
        )
        with _running(span):
            yield OtlpJobTrace(self.tracer, span)

    def traceparent(self) -> str | None:
        """Returns the W3C header of the running span."""
        span: SpanContext | None = SPAN.get()
        if span is None:
            return None
        carrier: dict[str, str] = {}
        _propagator.inject(carrier, _context_of(span))
        return carrier["traceparent"]

    def close(self) -> None:
        """Exports what is left, for some seconds at most."""
        self._provider.shutdown()


class OtlpJobTrace:
    """The trace of an attempt. Reports of a training become spans of the steps since the last one, not too often."""

    def __init__(self, tracer: trace.Tracer, span: Span, *, clock: Callable[[], int] = time.time_ns) -> None:
        self._tracer, self._span, self._clock = tracer, span, clock
        self._began = clock()
        self._count = 0

    def on_metrics(self, values: Mapping[str, Any]) -> None:
        """Is told of each report of a training."""
        now = self._clock()
        if now - self._began < _STEPS_PAUSE * 1e9 or self._count >= _MAX_STEPS_SPANS:
            return
        attributes = {f"cloze.{name}": value for name, value in values.items() if isinstance(value, int | float)}
        parent = _context_of(self._span.get_span_context())
        self._tracer.start_span("steps", context=parent, attributes=attributes, start_time=self._began).end(now)
        self._began, self._count = now, self._count + 1


@contextmanager
def _running(span: Span) -> Iterator[None]:
    """Makes a span the running one, and ends it. An error is noted by its class, as its message may quote an input."""
    token = SPAN.set(span.get_span_context() if span.is_recording() else None)
    try:
        yield
    except BaseException as error:
        span.set_attribute("error.type", type(error).__name__)
        span.set_status(Status(StatusCode.ERROR))
        raise
    finally:
        SPAN.reset(token)
        span.end()


def _context_of(span: SpanContext) -> Context:
    return trace.set_span_in_context(trace.NonRecordingSpan(span), Context())
