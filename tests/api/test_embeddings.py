import base64

import numpy as np
import pytest
from fastapi.testclient import TestClient

from app.api.schemas.embeddings import EmbeddingsRequest
from tests.fakes.objective import DIMENSIONS, token_id


def test_openai_shape(client: TestClient) -> None:
    body = client.post("/v1/embeddings", json={"model": "full", "input": ["a lion", "one deer runs"]}).json()

    assert body.keys() == {"object", "data", "model", "usage"}
    assert (body["object"], body["model"]) == ("list", "full@1")
    assert body["usage"] == {"prompt_tokens": 5, "total_tokens": 5}
    assert [(d["object"], d["index"], len(d["embedding"])) for d in body["data"]] == [
        ("embedding", 0, DIMENSIONS),
        ("embedding", 1, DIMENSIONS),
    ]


def test_base64_is_little_endian_float32(client: TestClient) -> None:
    floats, encoded = (
        client.post("/v1/embeddings", json={"input": "a lion", "encoding_format": kind}).json()["data"][0]["embedding"]
        for kind in ("float", "base64")
    )

    np.testing.assert_array_equal(np.frombuffer(base64.b64decode(encoded), "<f4"), np.array(floats, np.float32))


def test_token_ids_are_inputs(client: TestClient) -> None:
    ids = [token_id("a"), token_id("lion")]

    text, one, several = (
        client.post("/v1/embeddings", json={"input": value, "token_ids": True}).json()
        for value in ("a lion", ids, [ids, ids[:1]])
    )

    assert one["data"] == text["data"]
    assert several["data"][0] == text["data"][0]
    assert [d["index"] for d in several["data"]] == [0, 1]


def test_token_ids_that_may_be_those_of_another_vocabulary_are_refused(client: TestClient) -> None:
    answer = client.post("/v1/embeddings", json={"input": ["a lion", [5, 6]]})

    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (422, "input")
    assert "check_embedding_ctx_length=False" in error["message"]


def test_options(client: TestClient) -> None:
    def vector(**options: object) -> np.ndarray:
        body = client.post("/v1/embeddings", json={"input": "a lion runs", "user": "me", **options}).json()
        return np.array(body["data"][0]["embedding"])

    assert np.linalg.norm(vector()) == pytest.approx(1)
    assert np.linalg.norm(vector(normalize=False)) != pytest.approx(1)
    assert not np.allclose(vector(pooling="cls"), vector(pooling="max"))
    assert vector(dimensions=3).shape == (3,)
    assert np.linalg.norm(vector(dimensions=3)) == pytest.approx(1)


def test_a_bare_encoder_embeds(client: TestClient) -> None:
    assert client.post("/v1/embeddings", json={"model": "bare", "input": "a lion"}).status_code == 200


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({"input": [[1, 2], []]}, 400, "input"),
        ({"input": [[]]}, 400, "input"),
        ({"input": [-1]}, 422, "input"),
        ({"input": [1, "a"]}, 422, "input"),
        ({"input": [True]}, 422, "input"),
        ({"input": [1.5]}, 422, "input"),
        ({"input": {"text": "a"}}, 422, "input"),
        ({"input": None}, 422, "input"),
        ({"input": "a", "encoding_format": "int8"}, 422, "encoding_format"),
        ({"input": "a", "dimensions": 0}, 422, "dimensions"),
        ({"input": "a", "pooling": "sum"}, 422, "pooling"),
        ({"input": "a", "normalize": 1}, 422, "normalize"),
        ({"input": " ".join(["long"] * 100)}, 422, "input"),
        ({"input": "a", "prompt_name": "q" * 101}, 422, "prompt_name"),
    ],
)
def test_refusals(client: TestClient, body: dict[str, object], status: int, param: str) -> None:
    answer = client.post("/v1/embeddings", json=body)

    assert (answer.status_code, answer.json()["error"]["param"]) == (status, param)


def test_tokenize(client: TestClient) -> None:
    body = client.post("/v1/tokenize", json={"input": ["a lion", "deer"]}).json()

    assert [t["text"] for t in body["data"][0]["tokens"]] == ["a", "lion"]
    assert body["data"][0]["tokens"][1] == {
        "id": token_id("lion"),
        "text": "lion",
        "special": False,
        "start": 2,
        "end": 6,
        "stop": 6,
    }
    assert body["usage"]["total_tokens"] == 3
    assert (body["object"], body["model"]) == ("list", "full@1")


def test_tokenize_takes_so_many_characters(client: TestClient) -> None:
    answer = client.post("/v1/tokenize", json={"input": ["a" * 500_000, "a" * 500_000, "b"]})

    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (422, "invalid_value", "input")
    assert "1000001 characters" in error["message"]


def test_a_prompt_is_passed_on() -> None:
    assert EmbeddingsRequest(input="a", prompt_name="query").to_item("a").prompt_name == "query"
