"""A local HTTP server of files, with the faults that remote files have."""

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class FileServer:
    """Its files and how it answers; tests change them between requests.

    files: content by path. etags: version by path. redirects: location by path. status: instead of the content.
    ranges: whether it answers range requests. cut: bytes after which each connection ends. drip: whether it answers
    with a header that does not end, byte by byte. asked: the first byte that each request asked for. headers: those of
    each request.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    etags: dict[str, str] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)
    status: dict[str, int] = field(default_factory=dict)
    extra: dict[str, str] = field(default_factory=dict)  # headers of each answer
    ranges: bool = True
    cut: int | None = None
    drip: bool = False
    asked: list[int] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    port: int = 0

    def url(self, path: str, host: str = "data.test") -> str:
        return f"http://{host}:{self.port}{path}"


class _Handler(BaseHTTPRequestHandler):
    served: FileServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        served, path = self.served, self.path.partition("?")[0]
        given = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        first = int(given[1]) if given else 0
        served.asked.append(first)
        served.headers.append(dict(self.headers.items()))
        if served.drip:
            self._drip()
        elif path in served.redirects:
            self._send(302, b"", {"Location": served.redirects[path]})
        elif path in served.status:
            self._send(served.status[path], b"")
        elif path not in served.files:
            self._send(404, b"")
        else:
            self._send_file(served.files[path], first if given and served.ranges else None, path)

    def _send_file(self, content: bytes, first: int | None, path: str) -> None:
        etag = self.served.etags.get(path)
        headers = {"ETag": etag} if etag else {}
        if first is None:
            self._send(200, content, headers)
        elif first >= len(content):
            self._send(416, b"", {**headers, "Content-Range": f"bytes */{len(content)}"})
        else:
            headers["Content-Range"] = f"bytes {first}-{len(content) - 1}/{len(content)}"
            self._send(206, content[first:], headers)

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {}), **self.served.extra}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[: self.served.cut])
        self.close_connection = True

    def _drip(self) -> None:
        with suppress(OSError):  # until the client goes away
            self.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
            while True:
                self.wfile.write(b"x")
                time.sleep(0.01)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Says nothing of clients that went away."""


@contextmanager
def serve_files(**options: Any) -> Iterator[FileServer]:
    """Serves files on the loopback address under any name."""
    served = FileServer(**options)
    server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"served": served}))
    served.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
