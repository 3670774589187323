import base64
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from sentence_transformers.util import quantize_embeddings

from app.api.schemas.embeddings import EmbeddingsRequest
from app.modalities.embedding import ChunkOptions, EmbedItem
from app.types import InputType, TruncationSide
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
        ({"input": {"text": 3}}, 422, "input"),
        ({"input": {"text": "a", "title": "b"}}, 422, "input"),
        ({"input": None}, 422, "input"),
        ({"input": "a", "encoding_format": "int4"}, 422, "encoding_format"),
        ({"input": "a", "encoding_format": "int8"}, 422, "ranges"),
        ({"input": ["a", "b"], "output_dtype": "int8", "ranges": [[0], [1]]}, 422, "ranges"),
        ({"input": "a", "output_dtype": "int8", "ranges": [[1, 0], [0, 1]]}, 422, "ranges"),
        ({"input": "a", "output_dtype": "int8", "ranges": "unit", "normalize": False}, 422, "ranges"),
        ({"input": "a", "embedding_types": ["float", "int4"]}, 422, "embedding_types.1"),
        ({"input": "a", "dimensions": 3, "output_dimension": 4}, 422, "output_dimension"),
        ({"input": "a", "truncate_dim": 3}, 422, "truncate_dim"),
        ({"input": "a", "input_type": "poem"}, 422, "input_type"),
        ({"input": "a", "input_type": "query", "task": "retrieval.passage"}, 422, "task"),
        ({"input": "a", "purpose": "query"}, 422, "purpose"),
        ({"input": "a", "prompt": "q" * 4001}, 422, "prompt"),
        ({"input": "a", "truncate": "MIDDLE"}, 422, "truncate"),
        ({"input": "a", "truncate_prompt_tokens": 0}, 422, "truncate_prompt_tokens"),
        ({"input": "a", "truncate_prompt_tokens": 3, "truncate": False}, 422, "truncate_prompt_tokens"),
        ({"input": "a", "chunk_size": 3}, 422, "chunk_size"),
        ({"input": "a", "late_chunking": True}, 422, "late_chunking"),
        ({"input": "a", "output": "chunks", "chunk_size": 3, "chunk_overlap": 3}, 422, "chunk_overlap"),
        ({"input": "a", "layer": 10**6}, 422, "layer"),
        ({"input": "data:image/png;base64,iVBORw0KGgo=", "output": "words"}, 422, "output"),
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


def test_vectors_are_quantized_as_sentence_transformers_does(client: TestClient) -> None:
    texts = ["a lion", "one deer runs", "the tea"]

    def ask(**options: object) -> Any:
        return client.post("/v1/embeddings", json={"input": texts, **options}).json()

    plain = np.array([each["embedding"] for each in ask()["data"]], np.float32)
    both = ask(embedding_types=["float", "uint8", "binary"])
    assert [each["embedding"].keys() for each in both["data"]] == [{"float", "uint8", "binary"}] * 3
    for precision in ("int8", "uint8", "binary", "ubinary"):
        answer = ask(output_dtype=precision, encoding_format="base64")  # as OpenAI's client adds
        found = np.array([each["embedding"] for each in answer["data"]])
        np.testing.assert_array_equal(found, quantize_embeddings(plain, precision))
        if precision in both["data"][0]["embedding"]:
            np.testing.assert_array_equal(found[0], both["data"][0]["embedding"][precision])
    ranges = ask(encoding_format="int8")["ranges"]
    again = client.post("/v1/embeddings", json={"input": texts[0], "encoding_format": "int8", "ranges": ranges}).json()
    assert again["data"][0] == ask(encoding_format="int8")["data"][0] and "ranges" not in again
    unit = np.array([[-1.0] * DIMENSIONS, [1.0] * DIMENSIONS])
    found = np.array([each["embedding"] for each in ask(encoding_format="int8", ranges="unit")["data"]])
    np.testing.assert_array_equal(found, quantize_embeddings(plain, "int8", unit))


def test_fields_of_other_apis() -> None:
    def item(**fields: object) -> EmbedItem:
        return EmbeddingsRequest.model_validate({"input": "a", **fields}).to_item("a")

    assert item(prompt_name="query").prompt_name == "query"
    assert item(prompt="see: ").prompt == "see: "
    for fields in ({"input_type": "search_query"}, {"task": "retrieval.query"}, {"input_type": "query", "task": None}):
        assert item(**fields).input_type is InputType.QUERY
    assert item(task="retrieval.passage").input_type is item(input_type="passage").input_type is InputType.DOCUMENT
    assert item(output_dimension=3).dimensions == item(dimensions=3, output_dimension=3).dimensions == 3
    assert item(truncate_dim="force").force_dimensions and not item(truncate_dim=None).force_dimensions
    for side, expected in (("START", TruncationSide.LEFT), ("end", TruncationSide.RIGHT)):
        found = item(truncate=side)
        assert (found.truncate, found.split, found.truncation_side) == (True, False, expected)
    refused = item(truncate="NONE")
    assert (refused.truncate, refused.split) == (False, False)
    for tokens, limit in ((-1, None), (7, 7)):
        found = item(truncate_prompt_tokens=tokens)
        assert (found.truncate, found.split, found.max_tokens) == (True, False, limit)
    assert item(late_chunking=None, encoding_format=None, truncate_prompt_tokens=None).split
    chunks = item(output="chunks", chunk_size=9, chunk_overlap=2, late_chunking=True)
    assert (chunks.output, chunks.chunks) == ("chunks", ChunkOptions(9, 2, late=True))


def test_a_text_may_be_an_object(client: TestClient) -> None:
    plain, given = (
        client.post("/v1/embeddings", json={"input": value}).json()["data"]
        for value in (["a lion", "tea"], [{"text": "a lion"}, {"type": "text", "text": "tea"}])
    )
    assert plain == given
