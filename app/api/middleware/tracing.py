"""Spans of requests, which continue the trace of the client (W3C Trace Context)."""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.telemetry import tracing
from app.telemetry.otlp import OtlpTracing

_PROBES = frozenset({"/health", "/ready", "/metrics"})


class TracingMiddleware:
    """Makes a span of each request but probes. Add it only if tracing is on, outside of the request ids."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        active = tracing.ACTIVE
        if scope["type"] != "http" or scope["path"] in _PROBES or not isinstance(active, OtlpTracing):
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = {name: headers[name] for name in ("traceparent", "tracestate") if name in headers}
        with active.request(scope["method"], given) as span:

            async def send_and_note(message: Message) -> None:
                if message["type"] == "http.response.start":
                    span.set_attribute("http.response.status_code", message["status"])
                await send(message)

            try:
                await self.app(scope, receive, send_and_note)
            finally:
                state = scope.get("state", {})
                route = getattr(scope.get("route"), "path", "unmatched")
                span.update_name(f"{scope['method']} {route}")
                span.set_attributes({"http.request.method": scope["method"], "http.route": route})
                span.set_attribute("cloze.request_id", str(state.get("request_id")))
                if code := state.get("error_code"):
                    span.set_attribute("error.type", code)
