"""What the serving benchmark is made of: its inputs, its client and its page."""

import asyncio
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from benchmarks.report import table, write_section
from benchmarks.serving import workload
from benchmarks.serving.load import Load
from benchmarks.serving.summary import Cell, Findings


class Answering(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    bodies: list[bytes]

    def do_POST(self) -> None:
        self.bodies.append(self.rfile.read(int(self.headers["content-length"])))
        status = 500 if b"bad" in self.bodies[-1] else 200
        self.send_response(status)
        self.send_header("content-length", "3")
        self.end_headers()
        self.wfile.write(b"one")

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server() -> Any:
    Answering.bodies = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(("lines", "failing"), [(['{"a": 1}', '{"b": 2}'], False), (['{"bad": 1}'], True)])
def test_the_client_counts_what_is_answered(server: Any, tmp_path: Path, lines: list[str], failing: bool) -> None:
    bodies = tmp_path / "bodies.jsonl"
    bodies.write_text("\n".join(lines))
    job = {"port": server.server_port, "path": "/x", "bodies": str(bodies), "clients": 3, "warm": 0.0, "seconds": 0.3}
    found = asyncio.run(Load(job).run())
    counted, other = ("failures", "requests") if failing else ("requests", "failures")
    assert found[counted] > 0 and found[other] == 0
    assert {body.decode() for body in Answering.bodies} == set(lines)
    assert failing or 0 < found["ms"][50] <= found["ms"][99]


def test_bodies_hold_as_many_inputs_as_asked_for(tmp_path: Path) -> None:
    workload.write_bodies(tmp_path / "b", ["x", "y", "z"], 2, lambda texts: {"input": texts})
    lines = [json.loads(line)["input"] for line in (tmp_path / "b").read_text().splitlines()]
    assert len(lines) == workload.BODIES
    assert lines[:3] == [["x", "y"], ["z", "x"], ["y", "z"]]
    assert workload.masked("a b c d") == "a b [MASK] d"


def test_a_section_is_replaced_where_it_is(tmp_path: Path) -> None:
    page = tmp_path / "RESULTS.md"
    for title, text in (("One", "first"), ("Two", "second"), ("One", table(["a"], [["1"]]))):
        write_section(title, text, page)
    assert page.read_text() == "# Results\n\n## One\n\n| a |\n| --- |\n| 1 |\n\n## Two\n\nsecond\n"


def test_figures_are_medians_and_their_spread() -> None:
    found, cell = Findings("embed"), Cell("mixed", 1, 8)
    for requests in (10, 30, 20):
        found.add("Cloze", "float32", cell, {"requests": requests, "seconds": 2.0, "ms": {"99": requests}})
    assert found.rate("Cloze", "float32", cell) == 10
    assert found.spread("Cloze", "float32", cell) == 1.0
    assert found.latency("Cloze", "float32", cell, 99) == 20
