"""Two servers with one Redis and one store, behind a proxy: each request may go to any of them."""

import contextlib
import json
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.jobs.connection import EmbeddedRedis
from app.store.store import ModelStore
from tests.fakes.balancer import Balancer
from tests.fakes.cloze import Server
from tests.fakes.http import http
from tests.fakes.imports import import_folder
from tests.fakes.redis import redis_server  # noqa: F401
from tests.fakes.tiny_models import CORPUS, tiny_bert_folder

WITHIN = 2.0  # seconds in which one server sees what another has changed
_PAUSE = 0.02  # seconds between two requests of a client, which leave the processor to the server that starts


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tiny = tiny_bert_folder(tmp_path / "tiny")
    store = ModelStore(tmp_path / "store")
    for _ in range(2):
        import_folder(store, tiny, "acme/tiny")
    return tmp_path


class Replica(Server):
    """A server that shares Redis and folders with others. It drains until it is told once more to stop."""

    def __init__(self, folder: Path, redis: str) -> None:
        super().__init__(folder, environment={"CLOZE_REDIS_URL": redis, "CLOZE_DRAIN_SECONDS": "60"})

    def wait_for_url(self) -> str:
        self.wait_for(r"acme/tiny@2 is ready")
        return self.wait_for(r"Listening on (http://127\.0\.0\.1:\d+)\n")[1]

    def leave(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def __enter__(self) -> "Replica":
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()
        assert self.stop() == 0, self.output


def test_any_server_answers(folder: Path, redis_server: EmbeddedRedis) -> None:  # noqa: F811
    with Replica(folder, redis_server.url) as first, Replica(folder, redis_server.url) as second:
        a, b = first.wait_for_url(), second.wait_for_url()
        a_job_is_followed_on_the_other(a, b)
        models_change_for_both(a, b)
        restart_without_a_failed_request(first, second, lambda: Replica(folder, redis_server.url))


def restart_without_a_failed_request(first: Replica, second: Replica, start: Callable[[], Replica]) -> None:
    with Balancer().running() as balancer:
        for server in (first, second):
            balancer.add(server.wait_for_url())
        with start() as third, load(balancer.url) as answers:
            balancer.add(third.wait_for_url())
            for server in (first, second):
                url = server.wait_for_url()
                server.leave()
                balancer.wait_until_out(url)
                assert http.get(f"{url}/v1/models").headers["connection"] == "close"
                assert server.stop() == 0
        assert len(answers) > 20
        assert set(answers) == {200}


def a_job_is_followed_on_the_other(a: str, b: str) -> None:
    corpus = "\n".join(json.dumps({"text": text}) for text in CORPUS * 20).encode()
    form = {"files": {"file": ("corpus.jsonl", corpus)}, "data": {"purpose": "fine-tune"}}
    file: Any = http.post(f"{a}/v1/files", **form).raise_for_status().json()
    body = {"model": "acme/tiny", "training_file": file["id"], "hyperparameters": {"max_steps": 2}}
    key = {"idempotency-key": "once"}
    jobs = [http.post(f"{url}/v1/pretraining/jobs", json=body, headers=key).json()["id"] for url in (b, a, b)]
    assert len(set(jobs)) == 1
    job = f"/v1/pretraining/jobs/{jobs[0]}"
    first = next(events(a, job))
    http.post(f"{b}{job}/cancel").raise_for_status()
    rest = list(events(b, job, last=first["id"]))
    assert first["id"] not in {each["id"] for each in rest}
    assert [each["status"] for each in rest if each["object"].endswith("job")][-1] == "cancelled"
    http.delete(f"{a}{job}").raise_for_status()
    assert http.get(f"{b}{job}").status_code == 404
    assert http.get(f"{b}/v1/files/{file['id']}/content").content == corpus
    http.delete(f"{b}/v1/files/{file['id']}").raise_for_status()
    assert http.get(f"{a}/v1/files/{file['id']}").status_code == 404


def events(url: str, job: str, last: str | None = None) -> Iterator[dict[str, Any]]:
    """The objects of a stream of events, from the first after `last`."""
    headers = {"accept": "text/event-stream"} | ({"last-event-id": last} if last else {})
    with http.stream("GET", f"{url}{job}/events", headers=headers) as answer:
        for line in answer.iter_lines():
            if line.startswith("data: "):
                yield json.loads(line.removeprefix("data: "))


def models_change_for_both(a: str, b: str) -> None:
    http.put(f"{a}/v1/models/acme/tiny/aliases/live", json={"version": 1}).raise_for_status()
    assert fill(b, "acme/tiny:live").json()["model"] == "acme/tiny@1"
    http.put(f"{b}/v1/models/acme/tiny/aliases/live", json={"version": 2}).raise_for_status()
    assert fill(a, "acme/tiny:live").json()["model"] == "acme/tiny@2"
    http.delete(f"{a}/v1/models/acme/tiny@1").raise_for_status()
    began = time.monotonic()
    assert fill(b, "acme/tiny@1").status_code == 404  # although it is in this server's memory
    assert time.monotonic() - began < WITHIN


def fill(url: str, model: str) -> httpx.Response:
    return http.post(f"{url}/v1/fill-mask", json={"model": model, "input": "The [MASK] chase the zebras."})


@contextlib.contextmanager
def load(url: str) -> Iterator[list[int]]:
    """Sends requests all the time: one client opens a connection each time, the other keeps its own."""
    answers: list[int] = []
    over = threading.Event()

    def send(keep: bool) -> None:
        with httpx.Client(timeout=http.timeout) as client:
            while not over.wait(_PAUSE):
                body = {"model": "acme/tiny", "input": "The [MASK] chase the zebras."}
                headers = {} if keep else {"connection": "close"}
                try:
                    answers.append(client.post(f"{url}/v1/fill-mask", json=body, headers=headers).status_code)
                except httpx.TransportError:
                    answers.append(0)

    threads = [threading.Thread(target=send, args=(keep,)) for keep in (True, False)]
    for thread in threads:
        thread.start()
    try:
        yield answers
    finally:
        over.set()
        for thread in threads:
            thread.join()
