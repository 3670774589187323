"""uvicorn's HTTP protocol with limits.

Without them uvicorn accepts headers and pipelined requests of any number, waits forever for the headers of a request,
and answers malformed requests in plain text.
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

_SLICE = 2048  # bytes parsed at once: a hundred of the shortest requests
_MIN_READ_BYTES = 16 * 1024  # a client must read this much within the write timeout, if this much is unsent
_VERSIONS = ("1.0", "1.1")

_log = logging.getLogger(__name__)


class _Flow(FlowControl):
    """Pauses reading while the protocol holds unparsed data, and never resumes reading on a closed connection."""

    held = False  # the protocol has data that it cannot parse yet

    def pause_reading(self) -> None:
        if not self._transport.is_closing():
            super().pause_reading()

    def resume_reading(self) -> None:
        if not self.held and not self._transport.is_closing():
            super().resume_reading()


class LimitedProtocol(HttpToolsProtocol):
    """One connection of a server. `protocol_for` makes a subclass that sets `connections_of_server`."""

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
        self._fault: AppError | None = None  # sent after the answers to earlier requests; then the connection closes
        self._running: RequestResponseCycle | None = None
        self._head_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None
        if self.connections_of_server.add(self):
            self._start_head_timer()
        else:
            self._fault = NotReady("the server has reached its limit of connections; try again later")
            self._write_fault()

    def connection_lost(self, exc: Exception | None) -> None:
        self.connections_of_server.remove(self)
        self._cancel_head_timer()
        self._cancel_write_timer()
        self.pipeline.clear()
        self._unparsed = b""
        super().connection_lost(exc)
        # uvicorn notifies only the newest request, not an earlier one that is still being answered.
        if self._running is not None and not self._running.response_complete:
            self._running.disconnected = True
            self._running.message_event.set()

    # Reading

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        self._unparsed = self._unparsed + data if self._unparsed else data
        self._parse()

    def _parse(self) -> None:
        """Parses received data, up to the first request that has to wait for an earlier one."""
        data, place = self._unparsed, 0
        while place < len(data) and not self.pipeline and self._fault is None and not self.transport.is_closing():
            # The rest of a body of known length holds no other request, so it is parsed in one go.
            end = place + max(_SLICE, self._body_left)
            place += self._feed(data[place:end])
        self._unparsed = data[place:]
        self.flow.held = bool(self._unparsed) or self._fault is not None
        if self.flow.held:
            self.flow.pause_reading()
        if self._running is None and self._fault is None and self.timeout_keep_alive_task is None:
            self._start_head_timer()

    def _feed(self, data: bytes) -> int:
        """Feeds data to the parser. Returns the number of bytes parsed."""
        parsed = len(data)
        self._since_progress += parsed
        try:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                parsed = upgrade.args[0]
                self.parser.feed_data(self._head_without_upgrade())
        except httptools.HttpParserError as error:
            self._refuse(self._fault or BadRequest(f"this is not a valid HTTP request: {_parse_error(error)}"))
        if self._since_progress > MAX_HEADER_BYTES and self._fault is None:
            self._refuse(HeadersTooLarge(f"the request line and headers are larger than {MAX_HEADER_BYTES} bytes"))
        return parsed

    def _head_without_upgrade(self) -> bytes:
        """Rebuilds the request line and headers without the headers that ask for a protocol upgrade.

        Java's client asks for h2c on every first request and continues with HTTP/1.1 if the server does. The parser
        stops after such headers and would treat the body as data of the other protocol.
        """
        self._upgrading = False
        lines = [self.scope["method"].encode() + b" " + self.url + b" HTTP/1.1"]
        lines += [name + b": " + value for name, value in self.headers if name not in (b"connection", b"upgrade")]
        return b"\r\n".join([*lines, b"", b""])

    # Parser callbacks. An exception raised here reaches `_feed` as an HttpParserError.

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_message:
            return  # a trailer, which must not be taken for a header
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
        """Checks the version, method and framing of a request. Raises AppError."""
        version = self.parser.get_http_version()
        if version not in _VERSIONS:
            self._fault = BadRequest(f"HTTP {version} is not supported; use HTTP/1.1")
        elif self.scope["method"] == "CONNECT":
            self._fault = BadRequest("CONNECT is not supported: this server is not a proxy")
        self._body_left = 0
        for name, value in self.headers:
            if name == b"content-length":
                self._body_left = int(value)  # the parser has checked that it is a number
            elif name == b"transfer-encoding" and (value.strip().lower() != b"chunked" or version == "1.0"):
                # A server and a proxy that disagree on where a body ends allow request smuggling.
                self._fault = BadRequest("the only supported Transfer-Encoding is `chunked`, in HTTP/1.1")
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
            self._close()  # uvicorn has closed it, but a client that reads nothing would keep it open
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
        """Sends the error and closes the connection, after earlier requests have been answered."""
        self._fault = error
        if self._in_message and self.pipeline:
            self.pipeline.popleft()  # the newest request, whose body is invalid
        elif self._in_message and (self._running is None or self._running.response_started):
            self._close()  # the response has been sent or started, so no error can follow
            return
        elif self._in_message and self._running is not None:
            self._running.disconnected = True  # stops the application: the error replaces its response
            self._running.message_event.set()
            self._running = None
        if self._running is None:
            self._write_fault()

    def _write_fault(self) -> None:
        assert self._fault is not None
        _log.debug("%s: %s", self.client, self._fault.message)
        self.transport.write(_serialize_error(self._fault))
        self._close()

    def send_400_response(self, msg: str) -> None:
        self._refuse(BadRequest(msg))

    # Time limits

    def _start_head_timer(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self._limits.header_timeout, self._on_header_timeout)

    def _cancel_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _on_header_timeout(self) -> None:
        self._head_timer = None
        if self._running is not None or self.transport.is_closing():
            return
        if self._since_progress and not self._in_message:
            seconds = self._limits.header_timeout
            self._refuse(RequestTimeout(f"the headers of the request did not arrive within {seconds:g} seconds"))
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
        """Closes the connection once the response is sent, or once the client has stopped reading it."""
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
        if unsent - self.transport.get_write_buffer_size() < _MIN_READ_BYTES:
            _log.debug("%s: the client has stopped reading", self.client)
            self.transport.abort()
        else:
            self._start_write_timer()


def protocol_for(connections: Connections) -> type[LimitedProtocol]:
    """Makes the protocol class of a server, whose connections are counted in `connections`."""
    return type("ServerProtocol", (LimitedProtocol,), {"connections_of_server": connections})


def _serialize_error(error: AppError) -> bytes:
    """Serializes the whole HTTP response to a request that the application never sees."""
    response = error_response({}, error, {"connection": "close", REQUEST_ID: uuid.uuid4().hex})
    headers = b"".join(name + b": " + value + b"\r\n" for name, value in response.raw_headers)
    return STATUS_LINE[error.status] + headers + b"\r\n" + bytes(response.body)


def _parse_error(error: Exception) -> str:
    """Describes a parser error, without exceptions raised in callbacks."""
    return "its URL cannot be parsed" if error.__cause__ or error.__context__ else str(error)
