"""Contrastive jobs over the API: estimates, previews, and data that are no pairs."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.store.store import ModelStore
from tests.api.conftest import publish
from tests.fakes.tiny_models import tiny_bert_folder

PATH = "/v1/fine_tuning/jobs"
PAIRS = [{"anchor": f"The lions hunt {n} zebras.", "positive": f"{n} zebras run from the lions."} for n in range(50)]

Upload = Callable[..., str]


@pytest.fixture
def upload(jobs_client: TestClient) -> Upload:
    def send(content: str, name: str = "pairs.jsonl") -> str:
        answer = jobs_client.post("/v1/files", files={"file": (name, content.encode())}, data={"purpose": "fine-tune"})
        return str(answer.json()["id"])

    return send


@pytest.fixture
def model(store: ModelStore, tmp_path: Path) -> str:
    publish(store, tmp_path, "tiny")
    tiny_bert_folder(store.resolve("tiny").path)
    return "tiny"


def body(model: str, file: str, **hyperparameters: Any) -> dict[str, Any]:
    method = {"type": "contrastive", "contrastive": {"hyperparameters": hyperparameters}}
    return {"model": model, "training_file": file, "method": method}


def test_a_job_has_an_estimate_and_a_preview(jobs_client: TestClient, upload: Upload, model: str) -> None:
    file = upload("\n".join(map(json.dumps, PAIRS)))
    asked = body(model, file, epochs=2, batch_size=8, matryoshka_dimensions=[16, 8])
    job = jobs_client.post(PATH, json=asked).raise_for_status().json()
    estimate = job["estimate"]
    assert (estimate["documents"], estimate["sampled"]) == (50, False)
    assert estimate["training_tokens"] == pytest.approx(2 * 0.98 * estimate["tokens"], rel=0.01)
    assert estimate["memory_bytes"] and estimate["disk_bytes"]
    assert job["hyperparameters"]["matryoshka_dimensions"] == "16,8"
    found = jobs_client.post(f"{PATH}/validate", json=asked).json()["previews"][0]
    assert found["items"] == 50
    assert found["first_items"][0]["text"] == "The lions hunt 0 zebras.\n0 zebras run from the lions."


@pytest.mark.parametrize(
    ("name", "content", "given", "param", "message"),
    [
        ("a.csv", "question,answer\na,b\n", {}, "training_file", "Set anchor_column to one of them"),
        ("a.txt", "A lion.\n\nA deer.\n", {}, "training_file", "set positives to dropout"),
        ("a.jsonl", '{"anchor": "a", "positive": null}\n', {}, "training_file", "0 pairs are usable"),
        ("a.jsonl", '{"anchor": "a", "positive": "b"}\n', {}, "training_file", "the number of pairs or texts is 1"),
        ("a.txt", "A lion.\n", {"sequence_length": 1000}, "sequence_length", "reads at most 64"),
        ("a.txt", "A lion.\n", {"matryoshka_dimensions": "0"}, "matryoshka_dimensions", ""),
        ("a.txt", "A lion.\n", {"masking_rate": 0.2}, "masking_rate", ""),
    ],
)
def test_what_is_wrong_is_named(
    jobs_client: TestClient,
    upload: Upload,
    model: str,
    name: str,
    content: str,
    given: dict[str, Any],
    param: str,
    message: str,
) -> None:
    answer = jobs_client.post(PATH, json=body(model, upload(content, name), **given))
    error = answer.json()["error"]
    assert (answer.status_code, error["param"].rpartition(".")[2]) == (422, param)
    assert message in error["message"]


def test_a_preset_is_refused(jobs_client: TestClient, upload: Upload) -> None:
    answer = jobs_client.post(PATH, json=body("bert-tiny", upload("{}")))
    assert answer.status_code == 404
    assert answer.json()["error"]["message"].endswith("as a preset the method has none")


def test_texts_without_pairs_are_read_as_documents(jobs_client: TestClient, upload: Upload, model: str) -> None:
    file = upload("\n".join(f"The lions hunt {n} zebras." for n in range(30)), "texts.txt")
    job = (
        jobs_client.post(PATH, json=body(model, file, positives="dropout", documents="lines")).raise_for_status().json()
    )
    assert job["estimate"]["documents"] == 30
