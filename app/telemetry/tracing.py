"""Traces of requests and jobs, as the rest of the code sees them. Without CLOZE_OTEL_ENDPOINT, `ACTIVE` is None.

`app.telemetry.otlp` has the implementation, which needs the extra `otel`.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from typing import Any, Protocol

# The sampled span that the running task or thread belongs to. None: there is none.
SPAN: ContextVar[Any] = ContextVar("span", default=None)


class JobTrace(Protocol):
    def on_metrics(self, values: Mapping[str, Any]) -> None:
        """Is told of each report of a training."""


class Tracing(Protocol):
    """Makes and exports spans. Every method may be called from any thread, and none raises."""

    def on_batch(
        self, attributes: Mapping[str, Any], spans: Sequence[Any], *, collated_ns: int, forward_seconds: float
    ) -> None:
        """Is told of a batch whose forward has ended now.

        spans: those of its inputs; None for an input without. collated_ns: Unix time at which its collation began.
        """

    def inference(self, model: str, task: str, inputs: int) -> AbstractContextManager[None]:
        """Makes a span of a task of a model, for a request that is traced."""

    def attempt(self, job_id: str, attempt: int, origin: str | None) -> AbstractContextManager[JobTrace]:
        """Makes a span of an attempt at a job. origin: the `traceparent` of the request that made the job."""

    def traceparent(self) -> str | None:
        """Returns the W3C header of the running span."""

    def close(self) -> None:
        """Exports what is left, for some seconds at most."""


ACTIVE: Tracing | None = None


def activate(tracing: Tracing | None) -> None:
    """Sets the tracing of this process."""
    global ACTIVE
    ACTIVE = tracing


def current_traceparent() -> str | None:
    """Returns the W3C header of the running span, if requests are traced."""
    return None if ACTIVE is None else ACTIVE.traceparent()


class _NoTrace:
    def on_metrics(self, values: Mapping[str, Any]) -> None:
        pass


def trace_attempt(job_id: str, attempt: int, origin: str | None) -> AbstractContextManager[JobTrace]:
    """Makes a span of an attempt, if jobs are traced."""
    return nullcontext(_NoTrace()) if ACTIVE is None else ACTIVE.attempt(job_id, attempt, origin)
