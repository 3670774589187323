"""A client that leaves takes its waiting work with it: on a real server, by a real socket."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from starlette.requests import ClientDisconnect, Request

from app.api.wire.disconnect import while_connected
from tests.fakes.objective import PATIENCE, FakeObjective
from tests.fakes.server import serving


def send(url: str, text: str) -> socket.socket:
    """Sends a request and does not wait for its answer."""
    address = urlsplit(url)
    assert address.hostname is not None
    body = json.dumps({"input": text}).encode()
    head = ["POST /v1/embeddings HTTP/1.1", "Host: x", "Content-Type: application/json", f"Content-Length: {len(body)}"]
    connection = socket.create_connection((address.hostname, address.port or 80), timeout=PATIENCE)
    connection.sendall("\r\n".join([*head, "", ""]).encode() + body)
    return connection


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        threading.Event().wait(0.005)


def test_waiting_entries_of_a_client_that_left_are_dropped(
    make_app: Callable[..., Any], fakes: dict[str, FakeObjective]
) -> None:
    app = make_app(max_batch_tokens=4)
    fake = fakes["full"]
    with serving(app) as url:
        batcher = app.state.services.pool.batcher
        eventually(lambda: app.state.warming.done())
        fake.batches.clear()
        fake.gate.clear()
        while fake.started.acquire(blocking=False):
            pass
        running = send(url, "it blocks the device")  # fills the budget
        assert fake.started.acquire(timeout=PATIENCE)
        leaving, staying = send(url, "this one leaves early"), send(url, "this one stays here")
        eventually(lambda: batcher.waiting == 2)

        leaving.close()
        eventually(lambda: batcher.waiting == 1)

        fake.gate.set()
        for connection in (running, staying):
            assert connection.recv(12) == b"HTTP/1.1 200"
            connection.close()
        eventually(lambda: batcher.in_use == 0)
    assert sum(fake.batches) == 2


def request_that(disconnects: bool) -> Request:
    async def receive() -> dict[str, str]:
        if not disconnects:
            await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    return Request({"type": "http"}, receive)


def test_the_result_and_the_errors_of_the_work_come_through() -> None:
    async def fail() -> None:
        raise ValueError("mine")

    assert asyncio.run(while_connected(request_that(disconnects=False), asyncio.sleep(0, "done"))) == "done"
    with pytest.raises(ValueError, match="mine"):
        asyncio.run(while_connected(request_that(disconnects=False), fail()))


def test_the_work_has_cleaned_up_when_the_disconnect_is_told() -> None:
    cleaned = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cleaned.append(True)

    with pytest.raises(ClientDisconnect):
        asyncio.run(while_connected(request_that(disconnects=True), work()))
    assert cleaned
