"""Traces, sent with OTLP over HTTP to a collector in this process, which decodes them."""

import gzip
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from app.telemetry import tracing
from app.telemetry.start import start_tracing, stop_tracing
from tests.api.conftest import FULL, MakeClient
from tests.fakes.jobs import JobSystem, make_spec
from tests.fakes.objective import MASK

pytest.importorskip("opentelemetry.exporter.otlp.proto.http")
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


class Collector(ThreadingHTTPServer):
    """An OTLP collector on a free port of 127.0.0.1."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.spans: list[Any] = []
        self.services: set[str] = set()
        self.endpoint = f"http://127.0.0.1:{self.server_address[1]}"

    def named(self, name: str) -> list[Any]:
        return [span for span in self.spans if span.name == name]


class _Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        assert (self.path, self.headers["content-type"]) == ("/v1/traces", "application/x-protobuf")
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.server.services.add(attributes(resource.resource)["service.name"])
            self.server.spans += [span for scope in resource.scope_spans for span in scope.spans]
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def attributes(of: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in of.attributes}


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        stop_tracing()
        server.shutdown()
        thread.join()


def test_a_request_is_traced_to_its_forward(make_client: MakeClient, collector: Collector) -> None:
    client = make_client(otel_endpoint=collector.endpoint)
    header = {"traceparent": f"00-{TRACE}-{PARENT}-01", "authorization": "Bearer secret"}
    answer = client.post("/v1/fill-mask", json={"input": [f"private {MASK}", MASK]}, headers=header)
    assert answer.status_code == 200
    client.post("/v1/fill-mask", json={"input": "no mask"})
    client.get("/health")
    stop_tracing()

    ours = [span for span in collector.spans if span.trace_id.hex() == TRACE]
    [request] = [span for span in ours if span.name == "POST /v1/fill-mask"]
    [inference] = [span for span in ours if span.name == "inference"]
    assert request.parent_span_id.hex() == PARENT
    assert inference.parent_span_id == request.span_id
    assert attributes(request)["http.response.status_code"] == 200
    assert attributes(request)["cloze.request_id"] == answer.headers["x-request-id"]
    assert attributes(inference) == {"cloze.model": f"{FULL}@1", "cloze.task": "fill-mask", "cloze.inputs": 2}
    batches = [span for span in ours if span.name == "batch"]
    assert sum(attributes(batch)["cloze.inputs"] for batch in batches) == 2
    for batch in batches:
        assert batch.parent_span_id == inference.span_id
        assert [link.span_id for link in batch.links] == [inference.span_id]
        [forward] = [span for span in ours if span.parent_span_id == batch.span_id]
        assert forward.name == "forward"
        assert batch.start_time_unix_nano <= forward.start_time_unix_nano <= forward.end_time_unix_nano
    [failed] = [span for span in collector.named("POST /v1/fill-mask") if span.trace_id.hex() != TRACE]
    assert attributes(failed)["error.type"] == "no_mask"
    assert not [span for span in collector.spans if "health" in span.name]
    assert collector.services == {"cloze-api"}
    assert b"private" not in b"".join(span.SerializeToString() for span in collector.spans)


def test_a_batch_links_to_all_of_its_requests(collector: Collector) -> None:
    start_tracing(collector.endpoint, 1.0, "cloze-api", "1")
    active: Any = tracing.ACTIVE
    spans = []
    for _ in range(2):
        with active.request("POST", {}), active.inference("m@1", "embeddings", 1):
            spans.append(tracing.SPAN.get())
    active.on_batch({"model": "m@1"}, [spans[0], None, spans[1], spans[1]], collated_ns=1, forward_seconds=0.1)
    active.on_batch({"model": "m@1"}, [None], collated_ns=1, forward_seconds=0.1)
    stop_tracing()

    [batch] = collector.named("batch")
    first, second = collector.named("inference")
    assert [link.span_id for link in batch.links] == [first.span_id, second.span_id]
    assert first.trace_id != second.trace_id
    assert (batch.trace_id, batch.parent_span_id) == (first.trace_id, first.span_id)


def test_who_is_not_sampled_makes_no_spans(make_client: MakeClient, collector: Collector) -> None:
    client = make_client(otel_endpoint=collector.endpoint, otel_sample_ratio=0)
    client.post("/v1/fill-mask", json={"input": MASK})
    client.post("/v1/fill-mask", json={"input": f"b {MASK}"}, headers={"traceparent": f"00-{TRACE}-{PARENT}-00"})
    client.post("/v1/fill-mask", json={"input": f"c {MASK}"}, headers={"traceparent": "malformed"})
    stop_tracing()
    assert collector.spans == []


def test_an_attempt_links_to_the_request_of_its_job(collector: Collector, jobs: JobSystem, redis: Any) -> None:
    start_tracing(collector.endpoint, 1.0, "cloze-trainer", "1")
    active: Any = tracing.ACTIVE
    with active.request("POST", {}):
        job = jobs.get(jobs.create(make_spec(redis)).id)
    assert job.trace is not None

    def fail() -> None:
        with tracing.trace_attempt(job.id, 2, job.trace) as trace:
            trace.on_metrics({"step": 1})  # too early for a span of its own
            raise RuntimeError("a message that may quote an input")

    with pytest.raises(RuntimeError):
        fail()
    stop_tracing()
    [request], [attempt] = collector.named("POST"), collector.named("attempt")
    assert [link.span_id for link in attempt.links] == [request.span_id]
    assert attempt.trace_id != request.trace_id
    assert attributes(attempt) == {"cloze.job_id": job.id, "cloze.attempt": 2, "error.type": "RuntimeError"}
    assert b"quote" not in attempt.SerializeToString()
    assert not collector.named("steps")


def test_steps_are_sampled(collector: Collector) -> None:
    from app.telemetry.otlp import OtlpJobTrace

    start_tracing(collector.endpoint, 1.0, "cloze-trainer", "1")
    times = iter(second * 10**9 for second in (0, 4, 11, 12, 30))
    active: Any = tracing.ACTIVE
    with active.request("POST", {}) as span:
        trace = OtlpJobTrace(active.tracer, span, clock=lambda: next(times))
        for step in range(1, 5):
            trace.on_metrics({"step": step, "train_loss": 2.0 / step, "note": "text"})
    stop_tracing()
    assert [attributes(each)["cloze.step"] for each in collector.named("steps")] == [2, 4]


def test_without_an_endpoint_there_is_no_tracing(make_client: MakeClient, jobs: JobSystem, redis: Any) -> None:
    client = make_client()
    assert client.post("/v1/fill-mask", json={"input": MASK}).status_code == 200
    assert tracing.ACTIVE is None
    assert jobs.create(make_spec(redis)).trace is None
    with tracing.trace_attempt("j", 1, None) as trace:
        trace.on_metrics({"step": 1})
