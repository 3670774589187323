"""POST /v1/similarity and /v1/rerank on fake models: shapes, order, refusals."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from app.modalities.comparison import InputComparison
from app.store.store import ModelStore
from app.types import Activation, Classifier, ClassifierType, CompareMethod, Task
from tests.api.conftest import Fakes, publish
from tests.fakes.objective import FakeObjective, make_head

TEXTS = ["a lion", "one deer runs", "the lion"]
LONG = "word " * 100


def post(client: TestClient, path: str, **body: object) -> Any:
    answer = client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def refuse(client: TestClient, path: str, **body: object) -> dict[str, Any]:
    answer = client.post(path, json=body)
    assert 400 <= answer.status_code < 500, answer.text
    return answer.json()["error"]


def embed(client: TestClient, texts: list[str]) -> np.ndarray:
    data = post(client, "/v1/embeddings", input=texts)["data"]
    return np.array([each["embedding"] for each in data])


def test_similarity_of_all_pairs(client: TestClient) -> None:
    vectors = embed(client, TEXTS)
    body = post(client, "/v1/similarity", source=TEXTS[:2], targets=TEXTS)
    assert (body["object"], body["model"], body["method"], body["function"]) == (
        "similarity",
        "full@1",
        "embedding",
        "cosine",
    )
    np.testing.assert_allclose(body["scores"], vectors[:2] @ vectors.T, atol=1e-5)
    assert body["usage"]["total_tokens"] == 2 + 3 + 2 + 3 + 2
    among = post(client, "/v1/similarity", source=TEXTS)
    np.testing.assert_allclose(among["scores"], vectors @ vectors.T, atol=1e-5)


def test_similarity_of_pairs(client: TestClient) -> None:
    vectors = embed(client, TEXTS)
    body = post(client, "/v1/similarity", source=TEXTS, targets=TEXTS[::-1], pairwise=True, function="manhattan")
    assert body["function"] == "manhattan"
    assert body["scores"] == sorted(body["scores"]) or body["scores"][1] == pytest.approx(0)
    unit = np.abs(vectors - vectors[::-1]).sum(-1)
    np.testing.assert_allclose(body["scores"], -unit, atol=1e-5)


def test_documents_are_ranked(client: TestClient) -> None:
    vectors = embed(client, TEXTS)
    expected = vectors[1:] @ vectors[0]
    documents = [TEXTS[1], {"text": TEXTS[2]}]
    body = post(client, "/v1/rerank", query=TEXTS[0], documents=documents, return_documents=True)
    order = np.argsort(-expected)
    assert [each["index"] for each in body["results"]] == order.tolist()
    np.testing.assert_allclose([each["relevance_score"] for each in body["results"]], expected[order], atol=1e-5)
    assert [each["document"]["text"] for each in body["results"]] == [TEXTS[1 + index] for index in order]
    assert (body["object"], body["method"], body["usage"]["total_tokens"]) == ("list", "embedding", 7)
    best = post(client, "/v1/rerank", query=TEXTS[0], documents=documents, top_n=1)["results"]
    assert best == [{key: body["results"][0][key] for key in ("index", "relevance_score")}]


def test_vectors_of_tokens_are_compared(client: TestClient, fakes: Fakes) -> None:
    """Each score is the sum over the tokens of the first text of the best cosine with a token of the second."""
    data = post(client, "/v1/embeddings", input=TEXTS, output="multi_vector")["data"]
    vectors = [np.array(each["embedding"]) for each in data]
    expected = np.array([[(a @ b.T).max(axis=1).sum() for b in vectors] for a in vectors])
    options = {"method": "multi_vector"}
    among = post(client, "/v1/similarity", source=TEXTS, **options)
    assert (among["method"], among["function"]) == ("multi_vector", "maxsim")
    np.testing.assert_allclose(among["scores"], expected, atol=1e-5)
    fakes["full"].dimensions = 60_000  # so large that the second side is embedded in parts
    body = post(client, "/v1/similarity", source=TEXTS[:1], targets=TEXTS * 3, function="meanmaxsim", **options)
    np.testing.assert_allclose(body["scores"], [[*expected[0] / 2] * 3], atol=1e-5)
    assert body["usage"]["total_tokens"] == 2 + 3 * (2 + 3 + 2)
    pairs = post(client, "/v1/similarity", source=TEXTS, targets=[TEXTS[0]] * 3, pairwise=True, **options)
    np.testing.assert_allclose(pairs["scores"], expected[:, 0], atol=1e-5)
    ranking = post(client, "/v1/rerank", query=TEXTS[0], documents=TEXTS[1:], **options)["results"]
    assert [each["relevance_score"] for each in ranking] == pytest.approx(sorted(expected[0, 1:])[::-1])

    error = refuse(client, "/v1/rerank", query="a", documents=["a", "b", "c", "d " * 9, " "], **options)
    assert error["param"] == "documents" and "`documents` 4" in error["message"]
    error = refuse(client, "/v1/similarity", source=["a " * 30] * 9, **options)
    assert error["param"] == "source" and "too large" in error["message"]
    fakes["full"].dimensions = 1 << 24
    error = refuse(client, "/v1/similarity", source="a", targets=["a"] * 2000, **options)
    assert error["param"] in ("source", "targets")


@pytest.fixture
def cross_encoder(store: ModelStore, tmp_path: Path, fakes: Fakes) -> Classifier:
    """A fake with one output, whose `TextPair` is read as a text."""
    one = Classifier(labels=("relevant",), type=ClassifierType.MULTI_LABEL, activation=Activation.SIGMOID)
    fakes["cross"] = FakeObjective((Task.EMBED, Task.CLASSIFY), make_head(one))
    fakes["cross"].comparison = InputComparison(CompareMethod.CROSS_ENCODER)
    publish(store, tmp_path, "cross", tasks=(Task.EMBED, Task.CLASSIFY), classifier=one)
    return one


@pytest.mark.usefixtures("cross_encoder")
def test_bounds_of_pairs(make_client: Any) -> None:
    fields = {"source": TEXTS[:2], "targets": TEXTS[:2], "model": "cross"}
    error = refuse(make_client(max_request_inputs=3), "/v1/similarity", **fields)
    assert error["param"] == "targets" and "make 4 pairs" in error["message"]


@pytest.mark.parametrize(
    ("path", "body", "param", "said"),
    [
        ("rerank", {"query": "a", "documents": []}, "documents", "is empty"),
        ("rerank", {"query": "a", "documents": ["a", 3]}, "documents", "document 1"),
        ("rerank", {"query": "a", "documents": ["a", {"title": "b"}]}, "documents", "document 1"),
        ("rerank", {"query": "a", "documents": ["a", " "]}, "documents", "`documents` 1"),
        ("rerank", {"query": "a", "documents": ["a", LONG], "truncate": False}, "documents", "`documents` 1"),
        ("rerank", {"query": " ", "documents": ["a", "b"]}, "query", "empty"),
        ("rerank", {"query": "a", "documents": ["a"] * 9}, "documents", "9 inputs"),
        ("rerank", {"query": "a", "documents": ["a"] * 8}, "documents", "make 9 inputs"),
        ("rerank", {"query": "a", "documents": "b"}, "documents", "a list of documents"),
        ("rerank", {"query": "a", "documents": ["b"], "top_n": 0}, "top_n", "1"),
        ("rerank", {"query": "a", "documents": ["b"], "method": "cross_encoder"}, "method", "no cross-encoder"),
        ("similarity", {"source": ["a", " "], "targets": "b"}, "source", "`source` 1"),
        ("similarity", {"source": "a", "targets": ["b", " "]}, "targets", "`targets` 1"),
        ("similarity", {"source": "a", "targets": []}, "targets", "`targets` is empty"),
        ("similarity", {"source": ["a", "b"], "targets": ["a"], "pairwise": True}, "targets", "pairwise"),
        ("similarity", {"source": "a", "targets": "b", "function": "euclid"}, "function", "cosine"),
        ("similarity", {"source": "a", "targets": "b", "function": "maxsim"}, "function", "cosine"),
        ("similarity", {"source": "a", "method": "multi_vector", "function": "dot"}, "function", "maxsim"),
    ],
)
def test_refusals(make_client: Any, path: str, body: dict[str, Any], param: str, said: str) -> None:
    error = refuse(make_client(max_request_inputs=8), f"/v1/{path}", **body)
    assert error["param"] == param and said in error["message"], error


def test_the_dialect_of_text_embeddings_inference(client: TestClient) -> None:
    ours = post(client, "/v1/rerank", query=TEXTS[0], documents=TEXTS[1:])["results"]
    for path in ("/tei/rerank", "/rerank"):
        found = post(client, path, query=TEXTS[0], texts=TEXTS[1:], return_text=True)
        assert [(each["index"], each["score"]) for each in found] == [
            (each["index"], each["relevance_score"]) for each in ours
        ]
        assert [each["text"] for each in found] == [TEXTS[1 + each["index"]] for each in found]
    answer = client.post("/tei/rerank", json={"query": "a", "texts": ["a", LONG], "truncate": False})
    assert answer.status_code == 413 or answer.status_code == 422, answer.text
    assert "`texts` 1" in answer.text
