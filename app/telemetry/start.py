"""Starts the tracing of a process, if it is configured."""

from app.errors import NotReady
from app.telemetry import tracing


def start_tracing(endpoint: str | None, ratio: float, service: str, version: str) -> None:
    """Activates the tracing of this process. Without an endpoint, there is none.

    Raises NotReady if the extra `otel` is not installed.
    """
    if endpoint is None:
        return
    try:
        from app.telemetry.otlp import OtlpTracing
    except ModuleNotFoundError as error:
        raise NotReady(f"CLOZE_OTEL_ENDPOINT needs the extra `otel`: pip install 'cloze[otel]' ({error})") from error
    tracing.activate(OtlpTracing(endpoint, ratio, service, version))


def stop_tracing() -> None:
    """Exports what is left, and ends the tracing of this process."""
    active = tracing.ACTIVE
    tracing.activate(None)
    if active is not None:
        active.close()
