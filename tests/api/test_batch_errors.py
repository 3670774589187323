"""The error of one input among several says which it is, in every route."""

from typing import Any

import pytest
from fastapi.testclient import TestClient

LONG = "long " * 100
IMAGE = "data:image/png;base64,AAAA"


@pytest.mark.parametrize(
    ("path", "body", "says"),
    [
        ("/v1/embeddings", {"input": ["a", "b", " ", "c"]}, "`input` 2 is empty"),
        ("/v1/embeddings", {"input": ["a", LONG]}, "`input` 1: 100 tokens"),
        ("/v1/embeddings", {"input": ["a"] * 40 + [LONG]}, "`input` 40: 100 tokens"),
        ("/v1/embeddings", {"input": ["a", "data:image/png;base64,%"]}, "`input` 1: "),
        ("/v1/fill-mask", {"input": ["[MASK] a", "b"]}, "`input` 1: no [MASK]"),
        ("/v1/fill-mask", {"input": ["[MASK] a", ""]}, "`input` 1 is empty"),
        ("/v1/score", {"input": ["a", "b", LONG]}, "`input` 2: 100 tokens"),
        ("/models/full/pipeline/feature-extraction", {"inputs": ["a", " "]}, "`input` 1 is empty"),
        ("/models/full/pipeline/fill-mask", {"inputs": ["[MASK]", "b"]}, "`input` 1: no [MASK]"),
        # Alone there is nothing to tell apart.
        ("/v1/embeddings", {"input": [" "]}, "the input is empty"),
        ("/v1/embeddings", {"input": LONG}, "100 tokens"),
    ],
)
def test_the_input_is_named(client: TestClient, path: str, body: dict[str, Any], says: str) -> None:
    answer = client.post(path, json=body)
    error = answer.json()["error"]
    assert error["message"].startswith(says)
    assert answer.headers["x-error-message"].startswith(says)
    assert error["param"] == "input"


@pytest.mark.parametrize(
    ("source", "sentences", "says", "param"),
    [
        ("a", ["b", " "], "`inputs.sentences` 1 is empty", "inputs.sentences"),
        (" ", ["b", "c"], "the input is empty", "inputs.source_sentence"),
    ],
)
def test_sentences_are_counted_without_the_source(
    client: TestClient, source: str, sentences: list[str], says: str, param: str
) -> None:
    body = {"inputs": {"source_sentence": source, "sentences": sentences}}
    error = client.post("/models/full/pipeline/sentence-similarity", json=body).json()["error"]
    assert (error["message"], error["param"]) == (says, param)


def test_what_all_inputs_share_names_none(client: TestClient) -> None:
    answer = client.post("/v1/fill-mask", json={"input": ["[MASK]"] * 2, "targets": [""]})
    assert "`input`" not in answer.json()["error"]["message"]


def test_a_stream_names_the_line_alone(client: TestClient) -> None:
    headers = {"content-type": "application/x-ndjson"}
    answer = client.post("/v1/embeddings", content=b'"a"\n" "\n"b"', headers=headers)
    lines = [line for line in answer.text.splitlines() if "error" in line]
    assert lines == [
        '{"index":1,"error":{"message":"the input is empty","type":"invalid_request_error","code":"empty_input",'
        '"param":"input"}}'
    ]
