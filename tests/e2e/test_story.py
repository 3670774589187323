"""The whole story over real HTTP, with the unmodified clients, a real Redis and a real worker."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from huggingface_hub import InferenceClient
from openai import OpenAI

from app.store.store import ModelStore
from tests.fakes.cloze import Server, descendants, wait_until
from tests.fakes.http import http
from tests.fakes.imports import import_folder
from tests.fakes.tiny_models import CORPUS, tiny_bert_folder

HYPERPARAMETERS = {
    "max_steps": 40,
    "batch_tokens": 256,
    "sequence_length": 32,
    "log_interval": 5,
    "eval_interval": 20,
    "checkpoint_interval": 4,
    "precision": "float32",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("cloze")
    tiny = tiny_bert_folder(folder / "tiny")
    import_folder(ModelStore(folder / "store"), tiny, "acme/tiny")
    server = Server(folder)
    try:
        server.wait_for(r"acme/tiny@1 is ready")
        yield server
    finally:
        assert server.stop() == 0, server.output


@pytest.fixture(scope="module")
def url(server: Server) -> str:
    return server.wait_for(r"Listening on (http://127\.0\.0\.1:\d+)\n")[1]


@pytest.fixture(scope="module")
def openai(url: str) -> OpenAI:
    return OpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0)


@pytest.fixture(scope="module")
def corpus(openai: OpenAI, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("data") / "corpus.jsonl"
    path.write_text("\n".join(json.dumps({"text": f"{a} {b}"}) for a in CORPUS for b in CORPUS))
    return openai.files.create(file=path, purpose="fine-tune").id


def test_models_are_listed_and_found_by_ids_with_slashes(openai: OpenAI) -> None:
    [model] = openai.models.list().data
    assert (model.id, model.modality, model.default) == ("acme/tiny", "text", True)
    assert set(model.tasks) == {"fill-mask", "embeddings", "score"}
    assert openai.models.retrieve("acme/tiny").parameters == model.parameters > 0


def test_the_hugging_face_client_fills_masks_and_embeds(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)  # "hub" is our own server here

    def client(task: str) -> InferenceClient:
        return InferenceClient(f"{url}/models/acme/tiny/pipeline/{task}")

    filled = client("fill-mask").fill_mask("The [MASK] chase the zebras.", top_k=3)
    assert len(filled) == 3
    assert all(f.sequence.startswith("The") and f.sequence.endswith(" chase the zebras.") for f in filled)
    assert client("feature-extraction").feature_extraction("lions").shape == (32,)
    similar = client("sentence-similarity").sentence_similarity("lions", other_sentences=["lions", "water"])
    assert similar[0] == pytest.approx(1.0, abs=1e-2)
    assert similar[1] < similar[0]


def test_the_openai_client_embeds(openai: OpenAI) -> None:
    answer = openai.embeddings.create(model="acme/tiny", input=["lions", "water boils"])
    vectors = np.array([d.embedding for d in answer.data])
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1, 1], abs=1e-3)
    assert answer.usage.prompt_tokens > 4


def test_a_job_is_submitted_followed_and_its_model_queried(openai: OpenAI, url: str, corpus: str) -> None:
    method: Any = {"type": "mlm", "mlm": {"hyperparameters": HYPERPARAMETERS}}
    job = openai.fine_tuning.jobs.create(model="acme/tiny", training_file=corpus, suffix="mine", method=method)
    wait_until(lambda: openai.fine_tuning.jobs.retrieve(job.id).status in {"succeeded", "failed"})
    job = openai.fine_tuning.jobs.retrieve(job.id)
    assert (job.status, job.fine_tuned_model) == ("succeeded", "mine@1"), job.error
    events = list(reversed(list(openai.fine_tuning.jobs.list_events(job.id, limit=5))))
    steps = [e.data["step"] for e in events if e.type == "metrics" and "train_loss" in e.data]
    assert steps == list(range(5, 41, 5))
    assert len({e.id for e in events}) == len(events)
    [newest, *_] = openai.fine_tuning.jobs.checkpoints.list(job.id).data
    assert newest.step_number == 40
    # Published a moment ago by another process, and served at once.
    answer = http.post(f"{url}/v1/fill-mask", json={"model": "mine", "input": "The lions [MASK] the zebras."})
    assert answer.json()["model"] == "mine@1"
    assert openai.models.retrieve("mine").parents == ["acme/tiny@1"]


def test_a_killed_trainers_job_ends_with_the_weights_of_an_undisturbed_one(
    server: Server, url: str, openai: OpenAI, corpus: str, tmp_path: Path
) -> None:
    hyperparameters = HYPERPARAMETERS | {"max_steps": 160, "seed": 3}

    def submit(name: str) -> str:
        body = {"model": "acme/tiny", "training_file": corpus, "name": name, "hyperparameters": hyperparameters}
        return str(http.post(f"{url}/v1/pretraining/jobs", json=body).raise_for_status().json()["id"])

    def job(job_id: str) -> dict[str, Any]:
        return dict(http.get(f"{url}/v1/pretraining/jobs/{job_id}").json())

    def kill(module: str) -> None:
        for pid in descendants(server.process.pid):
            if module.encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
                os.kill(pid, signal.SIGKILL)

    def trained(attempt: int) -> bool:
        """By its checkpoints, which are told at once: progress waits for the next second, and the job may not."""
        checkpoints = http.get(f"{url}/v1/pretraining/jobs/{killed}/checkpoints", params={"limit": 1}).json()["data"]
        steps = checkpoints[0]["step_number"] if checkpoints else 0
        return job(killed)["attempts"] == attempt and steps > 5 * attempt

    undisturbed, killed = submit("undisturbed"), submit("killed")
    wait_until(lambda: job(undisturbed)["status"] == "succeeded")
    for attempt, victim in enumerate(("app.worker.run_job", "app.worker"), start=1):
        wait_until(lambda attempt=attempt: trained(attempt))
        kill(victim)
    wait_until(lambda: job(killed)["status"] in {"succeeded", "failed"})
    assert job(killed)["status"] == "succeeded", job(killed)["error"]
    assert job(killed)["attempts"] == 3
    store = ModelStore(server.store)
    first, second = (store.resolve(name).manifest.files["model.safetensors"] for name in ("undisturbed", "killed"))
    assert first == second
