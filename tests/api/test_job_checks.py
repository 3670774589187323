"""The look at a job's files happens in child processes: whatever becomes of them, the server goes on."""

import asyncio
import json
import socket
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from fastapi.testclient import TestClient

from app.modalities.text import TextModality
from tests.fakes.faults import WAIT, begun, crash, has_ended, swell, touch_and_sleep
from tests.fakes.server import serving

PATH = "/v1/pretraining/jobs"
Check = Callable[..., Any]


@pytest.fixture
def check(monkeypatch: pytest.MonkeyPatch) -> Callable[[Check], None]:
    """Replaces the check of texts."""
    return lambda check: monkeypatch.setattr(TextModality, "check", lambda self, hp: check)


@pytest.fixture
def url(make_app: Callable[..., Any], jobs: Any, files: Any, feed: Any) -> Iterator[str]:
    with serving(make_app(jobs=jobs, files=files, feed=feed)) as url:
        yield url


def upload(client: Any, base: str = "") -> dict[str, str]:
    """A job's request with a file."""
    sent = {"file": ("text.txt", b"The lions hunt the zebras.\n")}
    answer = client.post(f"{base}/v1/files", files=sent, data={"purpose": "fine-tune"})
    return {"model": "bert-tiny", "training_file": answer.json()["id"]}


@pytest.mark.parametrize(
    ("fault", "status", "code"), [(crash, 422, "invalid_data"), (swell, 413, "too_large")], ids=["crash", "memory"]
)
@pytest.mark.parametrize("path", [PATH, f"{PATH}/validate"])
def test_a_check_that_ends_its_process_is_an_error_of_the_file(
    jobs_client: TestClient, check: Callable[[Check], None], path: str, fault: Check, status: int, code: str
) -> None:
    body = upload(jobs_client)
    check(fault)
    answer = jobs_client.post(path, json=body)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (status, code, "training_file")
    assert jobs_client.get(PATH).json()["data"] == []


def test_other_routes_answer_and_more_checks_come_again_later(
    url: str, check: Callable[[Check], None], tmp_path: Path
) -> None:
    async def main() -> None:
        async with httpx.AsyncClient(base_url=url, timeout=WAIT) as client:
            tasks = [asyncio.create_task(client.post(f"{PATH}/validate", json=body)) for _ in range(19)]
            done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            assert [(each.result().status_code, len(pending)) for each in done] == [(429, 18)]
            for path in ("/v1/files", PATH, "/metrics", "/v1/models"):
                assert (await client.get(path)).status_code == 200
            pid = await asyncio.to_thread(begun, tmp_path / "pid")
            for task in pending:
                task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)
            assert await asyncio.to_thread(has_ended, pid)

    with httpx.Client(timeout=WAIT) as client:
        body = upload(client, url)
    check(partial(touch_and_sleep, tmp_path / "pid"))
    asyncio.run(main())


def test_a_check_ends_with_its_client(url: str, check: Callable[[Check], None], tmp_path: Path) -> None:
    with httpx.Client(timeout=WAIT) as client:
        body = json.dumps(upload(client, url)).encode()
    check(partial(touch_and_sleep, tmp_path / "pid"))
    address = urlsplit(url)
    head = [f"POST {PATH} HTTP/1.1", "Host: x", "Content-Type: application/json", f"Content-Length: {len(body)}"]
    with socket.create_connection((address.hostname or "", address.port or 80), timeout=WAIT) as connection:
        connection.sendall("\r\n".join([*head, "", ""]).encode() + body)
        pid = begun(tmp_path / "pid")
    assert has_ended(pid)
