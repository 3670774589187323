"""The dialects of Cohere and Ollama, and the routes at the root, on fake models: shapes and errors."""

import base64
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from pydantic import ValidationError
from sentence_transformers.util import quantize_embeddings

from app.settings import Settings
from tests.fakes.objective import DIMENSIONS, MASK

TWO = ["a lion", "one deer runs"]


def ask(client: TestClient, path: str, body: object) -> Any:
    answer = client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_cohere(client: TestClient) -> None:
    floats = ask(client, "/v1/embed", {"texts": TWO, "model": "full", "input_type": "search_query"})
    assert floats["response_type"] == "embeddings_floats" and np.shape(floats["embeddings"]) == (2, DIMENSIONS)
    assert floats["texts"] == TWO and floats["meta"]["billed_units"] == {"input_tokens": 5}
    second = ask(client, "/v2/embed", {"texts": TWO})
    assert second["embeddings"] == {"float": floats["embeddings"]} and second["response_type"] == "embeddings_by_type"
    parts = [{"content": [{"type": "text", "text": text}]} for text in TWO]
    found = ask(client, "/v2/embed", {"inputs": parts, "embedding_types": ["base64", "float"], "output_dimension": 3})
    decoded = [np.frombuffer(base64.b64decode(each), "<f4") for each in found["embeddings"]["base64"]]
    np.testing.assert_allclose(decoded, found["embeddings"]["float"], rtol=1e-6)
    assert np.shape(decoded) == (2, 3) and found["texts"] is None
    ask(client, "/v2/embed", {"texts": ["lion " * 200]})
    kinds = ("int8", "uint8", "binary", "ubinary")
    small = ask(client, "/v2/embed", {"texts": TWO, "embedding_types": kinds})["embeddings"]
    unit = np.array([[-1.0] * DIMENSIONS, [1.0] * DIMENSIONS])
    for kind in kinds:
        expected = quantize_embeddings(np.array(floats["embeddings"], np.float32), kind, unit)
        np.testing.assert_array_equal(small[kind], expected)
    assert (
        ask(client, "/v1/embed", {"texts": TWO[1:], "embedding_types": ["int8"]})["embeddings"]["int8"][0]
        == (
            small["int8"][1]  # comparable between requests
        )
    )


def test_cohere_reranks(client: TestClient) -> None:
    body = {"query": "a lion", "documents": ["rain", "a lion", {"text": "a lion hunts"}]}
    own = ask(client, "/v1/rerank", body)["results"]
    answer = ask(client, "/v2/rerank", body | {"top_n": 2, "model": "full"})
    assert answer["results"] == own[:2] and answer["results"][0]["index"] == 1
    assert answer["meta"]["api_version"] == {"version": "2"} and answer["id"]


def test_ollama(client: TestClient) -> None:
    found = ask(client, "/api/embed", {"model": "full:latest", "input": TWO, "options": {"num_ctx": 5}})
    assert np.shape(found["embeddings"]) == (2, DIMENSIONS) and found["prompt_eval_count"] == 5
    assert 0 < found["load_duration"] < found["total_duration"]
    one = ask(client, "/api/embed", {"input": TWO[0], "dimensions": 3, "keep_alive": "5m"})
    assert np.shape(one["embeddings"]) == (1, 3)
    older = ask(client, "/api/embeddings", {"model": "full", "prompt": TWO[0], "keep_alive": 0})
    assert older == {"embedding": found["embeddings"][0]}
    models = client.get("/api/tags").json()["models"]
    assert {"full", "org/slashed"} <= {each["name"] for each in models} and models[0]["size"] > 0
    assert client.get("/api/version").json()["version"]


def test_the_root_reads_three_dialects(client: TestClient) -> None:
    openai = ask(client, "/embeddings", {"input": TWO})
    assert ask(client, "/", {"input": TWO}) == openai
    assert ask(client, "/", {"inputs": TWO}) == [each["embedding"] for each in openai["data"]]
    filled = ask(client, "/", {"inputs": f"a {MASK}", "parameters": {"top_k": 2}})
    assert [each["token_str"] for each in filled] == ["lion", "deer"]
    pair = {"source_sentence": "a lion", "sentences": ["a lion"]}
    assert ask(client, "/", {"inputs": pair}) == [pytest.approx(1)]
    assert client.get("/").headers["content-type"].startswith("text/html")


@pytest.mark.parametrize(
    ("path", "body", "status", "says"),
    [
        ("/v2/rerank", {"query": "a"}, 422, "`documents`"),
        ("/v2/rerank", {"query": "a", "documents": []}, 400, "`documents` is empty"),
        ("/v2/rerank", {"query": "a", "documents": ["b", ""]}, 400, "`documents` 1 is empty"),
        ("/v2/rerank", {"query": "a", "documents": ["b"], "top_n": 0}, 422, "`top_n`"),
        ("/v2/embed", {}, 422, "give one of"),
        ("/v2/embed", {"texts": ["a"], "images": ["data:image/png;base64,AAAA"]}, 422, "give one of"),
        ("/v2/embed", {"texts": []}, 400, "`texts` is empty"),
        ("/v2/embed", {"texts": ["a", ""]}, 400, "`texts` 1 is empty"),
        ("/v2/embed", {"texts": "a"}, 422, "`texts`"),
        ("/v2/embed", {"texts": ["a"], "embedding_types": ["int4"]}, 422, "`embedding_types.0`"),
        ("/v2/embed", {"texts": ["a"], "truncate": "MIDDLE"}, 422, "`truncate`"),
        ("/v2/embed", {"texts": ["lion " * 200], "truncate": "NONE"}, 422, "`texts`: 200 tokens"),
        ("/v2/embed", {"texts": ["a"], "model": "none"}, 404, "none"),
        ("/v2/embed", {"images": ["https://example.org/a.png"]}, 422, "`images`"),
        ("/v2/embed", {"inputs": [{"content": []}]}, 422, "`inputs`"),
        ("/v2/embed", {"inputs": [{"content": [{"type": "image_url", "image_url": 5}]}]}, 422, "`inputs`"),
        ("/v1/embed", {"texts": ["a"] * 3000}, 422, "`texts` holds 3000"),
        ("/api/embed", {"input": 5}, 422, "`input`"),
        ("/api/embed", {"input": ""}, 400, "`input` is empty"),
        ("/api/embed", {"input": "lion " * 200, "truncate": False}, 422, "200 tokens"),
        ("/api/embed", {"input": "a", "model": "none"}, 404, "none"),
        ("/api/embeddings", {"prompt": ""}, 400, "`prompt` is empty"),
        ("/api/embeddings", {"prompt": ["a"]}, 422, "`prompt`"),
        ("/", {"inputs": 5}, 422, "`inputs`"),
        ("/", {}, 422, "`inputs` is required"),
        ("/", {"inputs": {"source_sentence": 5}}, 422, "`inputs"),
    ],
)
def test_errors_have_the_shape_of_the_dialect(
    client: TestClient, path: str, body: object, status: int, says: str
) -> None:
    answer = client.post(path, json=body)
    fields = {"message"} if path.startswith("/v") else {"error"}
    assert answer.json().keys() - {"error_type"} == fields, answer.text
    assert answer.status_code == status and says in answer.json()[fields.pop()], answer.text


WRONG: list[Any] = [None, True, 1.5, "", [], [None], [[]], {}, {"a": 1}, [{}], [{"content": [5]}], -1]


@pytest.mark.parametrize(
    "path", ["/v1/embed", "/v2/embed", "/v2/rerank", "/api/embed", "/api/embeddings", "/", "/embeddings"]
)
def test_no_body_is_an_error_of_the_server(client: TestClient, path: str) -> None:
    fields = ("input", "inputs", "texts", "images", "prompt", "options", "keep_alive", "parameters")
    bodies: list[tuple[str, dict[str, Any]]] = [(field, {}) for field in fields]
    if path == "/v2/rerank":
        whole = {"query": "a", "documents": ["b"]}
        bodies = [(field, whole) for field in (*whole, "top_n", "model", "priority", "max_tokens_per_doc")]
    elif path in ("/v1/embed", "/v2/embed"):
        optional = ("embedding_types", "input_type", "output_dimension", "truncate", "truncate_dim", "model")
        bodies += [(field, {"texts": ["a"]}) for field in optional]
    for field, others in bodies:
        for value in WRONG:
            answer = client.post(path, json=others | {field: value})
            assert answer.status_code in (200, 400, 422), (field, value, answer.text)
    for content in (b"", b"{", b"[]", b"5", b"\xff"):
        answer = client.post(path, content=content, headers={"content-type": "application/json"})
        assert answer.status_code in (400, 422), (content, answer.text)


def test_the_root_needs_a_key_except_for_the_page(make_client: Callable[..., TestClient]) -> None:
    locked = make_client(api_keys=("key",))
    assert locked.get("/").status_code == 200
    assert locked.post("/", json={"inputs": "a"}).status_code == 401
    assert make_client(root_routes=False).post("/", json={"inputs": "a"}).status_code == 405


PAGE = "https://app.example.org"


def test_listed_origins_may_use_the_api(make_client: Callable[..., TestClient]) -> None:
    client = make_client(cors_origins=(PAGE,), api_keys=("key",))
    asks = {"access-control-request-method": "POST", "access-control-request-headers": "authorization,content-type"}
    allowed = client.options("/v1/embeddings", headers={"origin": PAGE, **asks})
    assert allowed.status_code == 200 and allowed.headers["access-control-allow-origin"] == PAGE
    assert "authorization" in allowed.headers["access-control-allow-headers"].lower()
    key = {"authorization": "Bearer key"}
    answer = client.post("/v1/embeddings", json={"input": "a"}, headers={"origin": PAGE, **key})
    assert answer.status_code == 200 and answer.headers["access-control-allow-origin"] == PAGE
    refused = client.post("/v1/embeddings", json={"input": "a"}, headers={"origin": PAGE})
    assert refused.status_code == 401 and refused.headers["access-control-allow-origin"] == PAGE  # the page can read it
    for other in ("https://evil.example.org", "http://app.example.org", "https://app.example.org:8443", "null"):
        preflight = client.options("/v1/embeddings", headers={"origin": other, **asks})
        assert preflight.status_code == 400 and "access-control-allow-origin" not in preflight.headers
        post = client.post("/v1/embeddings", json={"input": "a"}, headers={"origin": other, **key})
        assert post.status_code == 403 and "access-control-allow-origin" not in post.headers


def test_without_the_setting_no_page_of_another_host_may(client: TestClient) -> None:
    answer = client.get("/v1/models", headers={"origin": PAGE})
    assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize("origins", ["*", "app.example.org", "https://app.example.org/path", "ftp://a", "HTTPS://A"])
def test_origins_that_cannot_be(origins: str) -> None:
    with pytest.raises(ValidationError, match=r"CLOZE_API_KEYS|expected origins"):
        Settings(cors_origins=origins)  # type: ignore[arg-type]
