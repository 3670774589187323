"""Two machines that share nothing but Redis and a bucket: upload on one, train on the other, serve on both."""

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from app.jobs.connection import EmbeddedRedis
from app.settings import Settings
from app.store.opening import open_store
from tests.fakes.cloze import CLOZE, Server, wait_until
from tests.fakes.http import http
from tests.fakes.imports import import_folder
from tests.fakes.s3_server import BUCKET, s3_server
from tests.fakes.tiny_models import CORPUS, tiny_bert_folder

HYPERPARAMETERS = {"max_steps": 10, "batch_tokens": 256, "sequence_length": 32, "precision": "float32"}


@pytest.fixture
def shared(
    tmp_path: Path,
    redis_server: EmbeddedRedis,
    warm_processes: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Mapping[str, str]]:
    with s3_server(tmp_path) as variables:
        shared = dict(variables) | {
            "CLOZE_MODEL_STORE": f"s3://{BUCKET}/store",
            "CLOZE_STORAGE": f"s3://{BUCKET}/storage",
            "CLOZE_REDIS_URL": redis_server.url,
        }
        for name, value in shared.items():
            monkeypatch.setenv(name, value)
        yield shared | warm_processes


def test_a_file_of_one_machine_trains_on_the_other_and_is_served_on_both(
    shared: Mapping[str, str], tmp_path: Path
) -> None:
    import_folder(open_store(Settings(var_dir=tmp_path / "import")), tiny_bert_folder(tmp_path / "tiny"), "tiny")
    with ExitStack() as stack:

        def start(machine: str, *command: str) -> Server:
            server = Server(tmp_path / machine, command=[*CLOZE, *command], environment=shared)
            stack.callback(server.stop)
            return server

        one, two = start("one", "serve"), start("two", "serve")
        start("two", "worker")
        urls = [server.wait_for(r"Listening on (http://127\.0\.0\.1:\d+)\n")[1] for server in (one, two)]

        text = "\n".join(json.dumps({"text": f"{a} {b}"}) for a in CORPUS for b in CORPUS)
        uploaded = http.post(f"{urls[0]}/v1/files", files={"file": ("corpus.jsonl", text)}).raise_for_status().json()
        body = {"model": "tiny", "training_file": uploaded["id"], "name": "mine", "hyperparameters": HYPERPARAMETERS}
        job = http.post(f"{urls[0]}/v1/pretraining/jobs", json=body).raise_for_status().json()["id"]

        def status() -> str:
            return str(http.get(f"{urls[1]}/v1/pretraining/jobs/{job}").json()["status"])

        wait_until(lambda: status() in {"succeeded", "failed"})
        assert status() == "succeeded", http.get(f"{urls[1]}/v1/pretraining/jobs/{job}").json()
        request = {"model": "mine", "input": "The lions [MASK] the zebras."}
        wait_until(lambda: all(http.post(f"{url}/v1/fill-mask", json=request).status_code == 200 for url in urls))
        answers = [http.post(f"{url}/v1/fill-mask", json=request).json() for url in urls]
        assert answers[0]["model"] == "mine@1" and answers[0]["data"] == answers[1]["data"]

        content = http.get(f"{urls[1]}/v1/files/{uploaded['id']}/content")
        assert content.text == text
        assert not (tmp_path / "one" / "var" / "jobs" / job).exists()
        assert (tmp_path / "two" / "var" / "jobs" / job).is_dir()
        assert http.delete(f"{urls[1]}/v1/files/{uploaded['id']}").status_code == 200
        assert http.get(f"{urls[0]}/v1/files/{uploaded['id']}/content").status_code == 404
