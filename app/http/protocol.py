"""uvicorn's HTTP protocol with limits.

By itself it takes headers and pipelined requests without end, waits for ever for the headers of a request, and
answers what it cannot parse in plain text.
"""

import asyncio
import logging
import uuid

import httptools
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from app.api.errors import error_response
from app.api.middleware.request_id import HEADER as REQUEST_ID
from app.errors import AppError, BadRequest, HeadersTooLarge, NotReady, RequestTimeout
from app.http.connections import MAX_HEADER_BYTES, MAX_HEADERS, Connections

_SLICE = 2048  # bytes that are parsed at once: a hundred of the shortest requests
_LEAST_READ = 16 * 1024  # bytes that a client reads within the write timeout, if so many are there
_VERSIONS = ("1.0", "1.1")

_log = logging.getLogger(__name__)


class _Flow(FlowControl):
    """Reads only while the protocol has parsed all that has been read, and never from a closed connection."""

    held = False  # the protocol has data that it cannot parse yet

    def pause_reading(self) -> None:
        if not self._transport.is_closing():
            super().pause_reading()

    def resume_reading(self) -> None:
        if not self.held and not self._transport.is_closing():
            super().resume_reading()


class LimitedProtocol(HttpToolsProtocol):
    """One connection. `connections` is set by the subclass that `protocol_for` makes for a server."""

    connections_of_server: Connections

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._limits = self.connections_of_server.limits
        self.timeout_keep_alive = self._limits.keep_alive_timeout  # type: ignore[assignment]
        self.flow: _Flow = _Flow(transport)
        self._unparsed = b""
        self._since_progress = 0  # bytes parsed since the last headers or body
        self._body_left = 0  # bytes of a body with a Content-Length
        self._in_message = False  # between the headers and the end of a message
        self._upgrading = False
        self._fault: AppError | None = None  # ends the connection once earlier requests are answered
        self._running: RequestResponseCycle | None = None
        self._head_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None
        if self.connections_of_server.add(self):
            self._start_head_timer()
        else:
            self._fault = NotReady("the server has as many connections as it may have; try again later")
            self._write_fault()

    def connection_lost(self, exc: Exception | None) -> None:
        self.connections_of_server.remove(self)
        self._cancel_head_timer()
        self._cancel_write_timer()
        self.pipeline.clear()
        self._unparsed = b""
        super().connection_lost(exc)
        # uvicorn tells only the newest request, not the one that is being answered before it.
        if self._running is not None and not self._running.response_complete:
            self._running.disconnected = True
            self._running.message_event.set()

    # Reading

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        self._unparsed = self._unparsed + data if self._unparsed else data
        self._parse()

    def _parse(self) -> None:
        """Parses what has been read, but nothing beyond a request that has to wait for its turn."""
        data, place = self._unparsed, 0
        while place < len(data) and not self.pipeline and self._fault is None and not self.transport.is_closing():
            # All that is left of a body of known length holds no further request.
            end = place + max(_SLICE, self._body_left)
            place += self._feed(data[place:end])
        self._unparsed = data[place:]
        self.flow.held = bool(self._unparsed) or self._fault is not None
        if self.flow.held:
            self.flow.pause_reading()
        if self._running is None and self._fault is None and self.timeout_keep_alive_task is None:
            self._start_head_timer()

    def _feed(self, data: bytes) -> int:
        """The number of bytes that were parsed."""
        parsed = len(data)
        self._since_progress += parsed
        try:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                parsed = upgrade.args[0]
                self.parser.feed_data(self._head_without_upgrade())
        except httptools.HttpParserError as error:
            self._refuse(self._fault or BadRequest(f"this is not a valid HTTP request: {_reason(error)}"))
        if self._since_progress > MAX_HEADER_BYTES and self._fault is None:
            self._refuse(HeadersTooLarge(f"the request line and headers are larger than {MAX_HEADER_BYTES} bytes"))
        return parsed

    def _head_without_upgrade(self) -> bytes:
        """The request line and headers, without those that ask for another protocol.

        Java's client asks for h2c on every first request and goes on with HTTP/1.1 if the server does. The parser
        stops behind such headers and would take the body for data of the other protocol.
        """
        self._upgrading = False
        lines = [self.scope["method"].encode() + b" " + self.url + b" HTTP/1.1"]
        lines += [name + b": " + value for name, value in self.headers if name not in (b"connection", b"upgrade")]
        return b"\r\n".join([*lines, b"", b""])

    # Callbacks of the parser. What they raise arrives in `_feed` as an HttpParserError.

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_message:
            return  # a trailer: nothing here expects one, and it must not pass for a header
        if len(self.headers) >= MAX_HEADERS:
            self._fault = HeadersTooLarge(f"the request has more than {MAX_HEADERS} headers")
            raise self._fault
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._since_progress = 0
        self._cancel_head_timer()
        self.scope["method"] = self.parser.get_method().decode("ascii")
        self._check_head()
        if self.parser.should_upgrade():
            self._upgrading = True
            return
        self._in_message = True
        super().on_headers_complete()

    def _check_head(self) -> None:
        """Raises what the connection is refused for."""
        version = self.parser.get_http_version()
        if version not in _VERSIONS:
            self._fault = BadRequest(f"HTTP {version} is not spoken here; use HTTP/1.1")
        elif self.scope["method"] == "CONNECT":
            self._fault = BadRequest("CONNECT is not possible: this server is no proxy")
        self._body_left = 0
        for name, value in self.headers:
            if name == b"content-length":
                self._body_left = int(value)  # digits: the parser has checked it
            elif name == b"transfer-encoding" and (value.strip().lower() != b"chunked" or version == "1.0"):
                # Where servers and proxies disagree about the end of a body, requests can be smuggled.
                self._fault = BadRequest("the only Transfer-Encoding that is taken is `chunked`, in HTTP/1.1")
        if self._fault is not None:
            raise self._fault

    def on_body(self, body: bytes) -> None:
        self._since_progress = 0
        self._body_left -= len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self._upgrading:
            return
        self._in_message = False
        self._since_progress = self._body_left = 0
        super().on_message_complete()

    # Answering

    def _start_asgi_task(self, cycle: RequestResponseCycle, app) -> None:  # type: ignore[no-untyped-def]
        self._running = cycle
        self.connections_of_server.set_busy(self)
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        self._running = None
        self.flow.held = False
        super().on_response_complete()
        if self.transport.is_closing():
            self._close()  # uvicorn has; but a client that reads nothing would keep it open
        elif self._running is None:
            if self._fault is not None:
                self._write_fault()
                return
            self.connections_of_server.set_idle(self)
            if self._unparsed:
                self._unset_keepalive_if_required()
        if self._unparsed:
            self._parse()

    # Refusing

    def _refuse(self, error: AppError) -> None:
        """Answers with the error and closes, once the requests before the one at fault are answered."""
        self._fault = error
        if self._in_message and self.pipeline:
            self.pipeline.popleft()  # the newest: its body is at fault
        elif self._in_message and (self._running is None or self._running.response_started):
            self._close()  # it has its answer, or the beginning of one
            return
        elif self._in_message and self._running is not None:
            self._running.disconnected = True  # the answer is written here
            self._running.message_event.set()
            self._running = None
        if self._running is None:
            self._write_fault()

    def _write_fault(self) -> None:
        assert self._fault is not None
        _log.debug("%s: %s", self.client, self._fault.message)
        self.transport.write(_answer(self._fault))
        self._close()

    def send_400_response(self, msg: str) -> None:
        self._refuse(BadRequest(msg))

    # Time limits

    def _start_head_timer(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self._limits.header_timeout, self._end_waiting)

    def _cancel_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _end_waiting(self) -> None:
        self._head_timer = None
        if self._running is not None or self.transport.is_closing():
            return
        if self._since_progress and not self._in_message:
            seconds = self._limits.header_timeout
            self._refuse(RequestTimeout(f"the headers of the request have not ended within {seconds:g} seconds"))
        else:
            self._close()

    def timeout_keep_alive_handler(self) -> None:
        self._close()

    def close_idle(self) -> None:
        self._close()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._start_write_timer()

    def resume_writing(self) -> None:
        super().resume_writing()
        if not self.transport.is_closing():
            self._cancel_write_timer()

    def _close(self) -> None:
        """Closes when the answer has been sent, or when the client has stopped reading it."""
        self.transport.close()
        if self.transport.get_write_buffer_size():
            self._start_write_timer()

    def _start_write_timer(self) -> None:
        if self._write_timer is None:
            unsent = self.transport.get_write_buffer_size()
            self._write_timer = self.loop.call_later(self._limits.write_timeout, self._check_writing, unsent)

    def _cancel_write_timer(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    def _check_writing(self, unsent: int) -> None:
        self._write_timer = None
        if unsent - self.transport.get_write_buffer_size() < _LEAST_READ:
            _log.debug("%s: the client has stopped reading", self.client)
            self.transport.abort()
        else:
            self._start_write_timer()


def protocol_for(connections: Connections) -> type[LimitedProtocol]:
    """The protocol of a server, whose connections share `connections`."""
    return type("ServerProtocol", (LimitedProtocol,), {"connections_of_server": connections})


def _answer(error: AppError) -> bytes:
    """The bytes of an answer to a request that the application never sees."""
    response = error_response({}, error, {"connection": "close", REQUEST_ID: uuid.uuid4().hex})
    headers = b"".join(name + b": " + value + b"\r\n" for name, value in response.raw_headers)
    return STATUS_LINE[error.status] + headers + b"\r\n" + bytes(response.body)


def _reason(error: Exception) -> str:
    """The parser's own words, without the exceptions of callbacks."""
    return "its URL cannot be read" if error.__cause__ or error.__context__ else str(error)
