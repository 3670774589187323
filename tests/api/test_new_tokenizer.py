"""POST /v1/tokenize with the tokenizer that a job would train, and its report in a job's estimate."""

import json
from typing import Any

import pytest
from fastapi.testclient import TestClient

MOLECULES = ["c1ccccc1", "C1CCCCC1", "CC(=O)Oc1ccccc1C(=O)O", "BrCCCl"] * 9


def upload(client: TestClient, texts: list[str]) -> str:
    content = "\n".join(map(json.dumps, texts)).encode()
    answer = client.post("/v1/files", files={"file": ("text.jsonl", content)}, data={"purpose": "fine-tune"})
    return str(answer.json()["id"])


def test_a_sample_decides_the_tokenizer(jobs_client: TestClient) -> None:
    body = {"input": ["BrC1", "C☃"], "tokenizer": {}, "sample": MOLECULES, "add_special_tokens": False}
    answer = jobs_client.post("/v1/tokenize", json=body).json()
    assert [[t["text"] for t in each["tokens"]] for each in answer["data"]] == [["Br", "C", "1"], ["C", "☃"]]
    assert (answer["data"][0]["tokens"][1]["start"], answer["data"][0]["tokens"][1]["end"]) == (2, 3)
    found = answer["tokenizer"]
    assert (found["type"], found["lossless"], found["lost"]) == ("regex", False, ["☃"])
    assert (found["unknown_share"], answer["model"]) == (round(1 / 6, 4), None)
    assert answer["usage"]["total_tokens"] == found["tokens"] == 5


def test_files_decide_the_tokenizer(jobs_client: TestClient) -> None:
    file = upload(jobs_client, MOLECULES)
    body = {"input": "c1C", "tokenizer": {"type": "characters", "vocab_size": 5}, "training_files": [file]}
    answer = jobs_client.post("/v1/tokenize", json=body).json()
    assert [t["text"] for t in answer["data"][0]["tokens"]] == ["[CLS]", "c", "1", "C", "[SEP]"]
    assert answer["tokenizer"]["vocabulary"] == 10


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"tokenizer": {"type": "kmer", "kmer_stride": 3}}, "kmer_stride"),
        ({"tokenizer": {"type": "regex", "tokenizer_pattern": "(a+)+"}}, "tokenizer_pattern"),
        ({"tokenizer": {"type": "regex", "tokenizer_pattern": "[z-a]"}}, "tokenizer_pattern"),
        ({"tokenizer": {"type": "kmer"}, "sample": ["123"]}, "tokenizer"),
        ({"tokenizer": {"type": "gpt"}}, "tokenizer.type"),
        ({"tokenizer": {"type": "kmer", "kmer_length": "3"}}, "tokenizer.kmer_length"),
        ({"sample": ["", " "]}, "sample"),
        ({"input": " "}, "input"),
        ({"training_files": ["file-none"]}, "training_files"),
        ({"input": "a" * 50_001}, "input"),
        ({"model": "full"}, None),
    ],
)
def test_faults_are_named(jobs_client: TestClient, changes: dict[str, Any], param: str | None) -> None:
    answer = jobs_client.post("/v1/tokenize", json={"input": "c1C", "tokenizer": {}, **changes})
    assert (answer.status_code >= 400, answer.json()["error"]["param"]) == (True, param)


def test_an_unknown_kind_is_answered_with_all_kinds(jobs_client: TestClient) -> None:
    new = jobs_client.post("/v1/tokenize", json={"input": "a", "tokenizer": {"type": "gpt"}})
    assert new.json()["error"]["message"].endswith("'kmer' or 'bytes', not 'gpt'")
    job = {"model": "bert-tiny", "training_file": upload(jobs_client, MOLECULES)}
    created = jobs_client.post("/v1/pretraining/jobs", json={**job, "hyperparameters": {"tokenizer": "gpt"}})
    assert created.json()["error"]["message"].endswith("'kmer' or 'bytes', not 'gpt'")


def test_a_pattern_that_the_library_cannot_read_is_no_internal_error(jobs_client: TestClient) -> None:
    job = {"model": "bert-tiny", "training_file": upload(jobs_client, MOLECULES * 20)}
    hyperparameters = {"tokenizer": "regex", "tokenizer_pattern": "[z-a]"}
    answer = jobs_client.post("/v1/pretraining/jobs", json={**job, "hyperparameters": hyperparameters})
    assert answer.status_code == 422
    assert answer.json()["error"]["param"] == "hyperparameters.tokenizer_pattern"


def test_lost_characters_are_written_as_in_the_text(jobs_client: TestClient) -> None:
    body = {"input": ["CBc", "cc"], "tokenizer": {"type": "characters"}, "sample": ["c c"]}
    assert jobs_client.post("/v1/tokenize", json=body).json()["tokenizer"]["lost"] == ["C", "B"]


def test_the_estimate_names_the_tokenizer_and_its_losses(jobs_client: TestClient) -> None:
    body = {"model": "esm-tiny", "training_file": upload(jobs_client, ["MKTAYIAKQRQISFVKSHFSRQLEERLGLIEVQ"] * 20)}
    answer = jobs_client.post("/v1/pretraining/jobs/validate", json=body).json()
    found = answer["estimate"]["tokenizer"]
    assert (found["type"], found["lossless"], found["unknown_share"]) == ("characters", True, 0.0)
    assert answer["estimate"]["tokens"] == 20 * 33
