"""The dialect of text-embeddings-inference on fake models: shapes, headers, errors, addresses."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from app.compat.error_shapes import TeiError, shape_finder
from app.errors import Busy
from app.main import create_app
from app.settings import Settings
from app.store.manifest import Manifest
from app.store.store import ModelStore
from app.types import ModalityName, Task
from tests.api.conftest import Fakes, publish
from tests.fakes.objective import DIMENSIONS, HEAD, FakeObjective, token_id
from tests.fakes.tiny_models import tiny_bert_folder

CLASSIFIER = "org/classifier"
TASKS = (Task.EMBED, Task.CLASSIFY)


@pytest.fixture
def client(client: TestClient, store: ModelStore, tmp_path: Path, fakes: Fakes) -> TestClient:
    fakes[CLASSIFIER] = FakeObjective(TASKS)
    publish(store, tmp_path, CLASSIFIER, tasks=TASKS, classifier=HEAD.classifier)
    return client


def ask(client: TestClient, path: str, body: object) -> Any:
    answer = client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize("prefix", ["", "/tei", "/tei/org/slashed", "/tei/full@1"])
def test_embed(client: TestClient, prefix: str) -> None:
    answer = client.post(f"{prefix}/embed", json={"inputs": ["a lion", "one deer runs"]})

    assert np.shape(answer.json()) == (2, DIMENSIONS)
    assert np.linalg.norm(answer.json(), axis=1) == pytest.approx([1, 1])
    assert (answer.headers["x-compute-tokens"], answer.headers["x-compute-characters"]) == ("5", "19")
    assert answer.headers["x-compute-time"] == answer.headers["x-total-time"]
    assert "x-queue-time" not in answer.headers  # nothing is reported that was not measured


def test_one_input_and_token_ids_and_options(client: TestClient) -> None:
    (vector,) = ask(client, "/embed", {"inputs": "a lion"})
    ids = [token_id("a"), token_id("lion")]
    assert ask(client, "/embed", {"inputs": ids}) == [vector] == ask(client, "/embed", {"inputs": [ids]})
    (raw,) = ask(client, "/embed", {"inputs": "a lion", "normalize": False, "dimensions": 3})
    assert len(raw) == 3 and np.linalg.norm(raw) != pytest.approx(1)
    every = ask(client, "/embed_all", {"inputs": ["a lion", "deer"]})
    assert [np.shape(each) for each in every] == [(2, DIMENSIONS), (1, DIMENSIONS)]
    long = "lion " * 200
    assert len(ask(client, "/embed", {"inputs": long, "truncation_direction": "Left"})) == 1
    refused = client.post("/embed", json={"inputs": [long, "a"], "truncate": False})
    assert refused.status_code == 422 and refused.json()["error"].startswith("`inputs` 0: 200 tokens")


def test_embed_sparse(tmp_path: Path) -> None:
    models = ModelStore(tmp_path / "models")
    manifest = Manifest(
        modality=ModalityName.TEXT, architecture="bert", tasks=(Task.FILL_MASK, Task.EMBED), parameters=1
    )
    models.publish(tiny_bert_folder(tmp_path / "bert"), manifest, name="tiny")
    with TestClient(create_app(Settings(var_dir=tmp_path / "var", device="cpu", threads=1), store=models)) as client:
        body = {"input": ["the lions", "paris"], "output": "sparse", "top_k": 1000}
        own = [each["embedding"] for each in ask(client, "/v1/embeddings", body)["data"]]
        found = ask(client, "/embed_sparse", {"inputs": ["the lions", "paris"]})
        assert found == [[{"index": term["index"], "value": term["value"]} for term in each] for each in own]
        assert all(found) and ask(client, "/tei/tiny/embed_sparse", {"inputs": "paris"}) == found[1:]
        refused = client.post("/embed_sparse", json={"inputs": ["a", ""]})
        assert refused.status_code == 400 and refused.json()["error"].startswith("`inputs` 1")


def test_predict(client: TestClient) -> None:
    path = f"/tei/{CLASSIFIER}/predict"
    alone = ask(client, path, {"inputs": "a lion"})
    assert [each["label"] for each in alone] == [
        each["label"] for each in sorted(alone, key=lambda label: -label["score"])
    ]
    assert {each["label"] for each in alone} == set(HEAD.classifier.labels)
    assert math.fsum(each["score"] for each in alone) == pytest.approx(1)
    assert ask(client, path, {"inputs": [["a lion"], ["a lion"]]}) == [alone, alone]
    raw = ask(client, path, {"inputs": "a lion", "raw_scores": True})
    powers = np.exp([each["score"] for each in raw])
    assert powers / powers.sum() == pytest.approx([each["score"] for each in alone])


def test_similarity(client: TestClient) -> None:
    inputs = {"source_sentence": "a lion", "sentences": ["a lion", "deer"]}
    same, other = ask(client, "/similarity", {"inputs": inputs, "parameters": {"truncate": True}})
    assert same == pytest.approx(1) and other < same


def test_tokenize_and_decode(client: TestClient) -> None:
    ((first, second),) = ask(client, "/tokenize", {"inputs": "deer lion"})
    assert first == {"id": token_id("deer"), "text": "deer", "special": False, "start": 0, "stop": 4}
    ids = [first["id"], second["id"]]
    assert ask(client, "/decode", {"ids": ids}) == ["deer lion"]
    assert ask(client, "/decode", {"ids": [ids, ids[:1]]}) == ["deer lion", "deer"]
    (prompted,) = ask(client, "/tokenize", {"inputs": "deer", "prompt_name": "query"})
    assert [(each["text"], each["start"]) for each in prompted] == [("one", 0), ("deer", 4)]


def test_rerank(client: TestClient) -> None:
    body = {"query": "a lion", "texts": ["rain", "a lion", "a lion hunts"]}
    own = ask(client, "/v1/rerank", {"query": body["query"], "documents": body["texts"]})["results"]
    found = ask(client, "/rerank", body)
    assert found == [{"index": each["index"], "score": each["relevance_score"]} for each in own]
    (best,) = ask(client, "/rerank", body | {"top_n": 1, "return_text": True})
    assert best == found[0] | {"text": "a lion"}
    hub = {"inputs": body, "parameters": {"return_text": True, "top_n": 1}}
    assert ask(client, "/models/full/pipeline/text-ranking", hub) == [best]
    assert ask(client, "/models/full", {"inputs": body}) == found == ask(client, "/", {"inputs": body})


@pytest.mark.parametrize(
    ("path", "body", "status", "kind", "says"),
    [
        ("/embed", {}, 422, "Validation", "`inputs` is required"),
        ("/embed", {"inputs": []}, 400, "Empty", "`inputs` is empty"),
        ("/embed", {"inputs": ""}, 400, "Empty", "`inputs` is empty"),
        ("/embed", {"inputs": ["a", ""]}, 400, "Empty", "`inputs` 1 is empty"),
        ("/embed", {"inputs": ["a", 5]}, 422, "Validation", "`inputs`"),
        ("/embed", {"inputs": "a", "truncation_direction": "up"}, 422, "Validation", "`truncation_direction`"),
        ("/embed", {"inputs": "a", "typo": 1}, 422, "Validation", "`typo`"),
        ("/embed", {"inputs": ["a"] * 3000}, 422, "Validation", "`inputs` holds 3000 inputs"),
        ("/embed_all", {"inputs": "a", "normalize": True}, 422, "Validation", "`normalize`"),
        ("/predict", {"inputs": "a"}, 424, "Backend", "cannot do classify"),
        (f"/tei/{CLASSIFIER}/predict", {"inputs": ["a", "b", "c"]}, 422, "Validation", "`inputs`"),
        (f"/tei/{CLASSIFIER}/predict", {"inputs": [["a"], "b", 5]}, 422, "Validation", "`inputs`"),
        (f"/tei/{CLASSIFIER}/predict", {"inputs": []}, 400, "Empty", "`inputs`"),
        ("/similarity", {"inputs": "a"}, 422, "Validation", "`inputs`"),
        ("/similarity", {"inputs": {"source_sentence": "a", "sentences": []}}, 422, "Validation", "`inputs.sentences`"),
        (
            "/similarity",
            {"inputs": {"source_sentence": "a", "sentences": ["a", ""]}},
            400,
            "Empty",
            "`inputs.sentences` 1 is empty",
        ),
        ("/tokenize", {"inputs": [5]}, 422, "Validation", "`inputs`"),
        ("/tokenize", {"inputs": "a" * 1_000_001}, 422, "Validation", "`inputs` has 1000001 characters"),
        ("/tokenize", {"inputs": "a", "prompt_name": "b"}, 422, "Validation", "`prompt_name`"),
        ("/rerank", {"query": "a", "texts": ["b"], "top_n": 0}, 422, "Validation", "`top_n`"),
        ("/decode", {"ids": ["a"]}, 422, "Validation", "`ids`"),
        ("/decode", {"ids": [[1], [10**9]]}, 422, "Validation", "`ids` 1: token id 1000000000"),
        ("/decode", {"ids": [1] * 100_001}, 422, "Validation", "`ids` has 100001 token ids"),
        ("/tei/none/embed", {"inputs": "a"}, 404, "Validation", "none"),
        (f"/tei/{'a' * 300}/embed", {"inputs": "a"}, 422, "Validation", "`model_id`"),
        ("/tei/nothing", {}, 404, "Validation", "/tei/nothing"),
    ],
)
def test_errors(client: TestClient, path: str, body: object, status: int, kind: str, says: str) -> None:
    answer = client.post(path, json=body)
    assert (answer.status_code, answer.json()["error_type"]) == (status, kind), answer.text
    assert says in answer.json()["error"] and answer.json().keys() == {"error", "error_type"}
    assert len(answer.content) < 2000


WRONG: list[Any] = [None, True, 1.5, "", [], [None], [[]], [[[]]], {}, {"a": 1}, [{}], [{"type": "x"}], ["a", []], -1]


@pytest.mark.parametrize(
    "name", ["embed", "embed_all", "embed_sparse", "predict", "rerank", "similarity", "tokenize", "decode"]
)
def test_no_body_is_an_error_of_the_server(client: TestClient, name: str) -> None:
    ranked = {"query": "a", "texts": ["b"]}
    fields = ("query", "texts", "top_n", "raw_scores") if name == "rerank" else ("inputs", "ids", "parameters")
    for field in fields:
        for value in WRONG:
            body = (ranked if name == "rerank" else {}) | {field: value}
            answer = client.post(f"/tei/{CLASSIFIER}/{name}", json=body)
            assert answer.status_code in (200, 400, 422, 424), (field, value, answer.text)
    for content in (b"", b"{", b"[]", b"5", b'"a"', b"\xff"):
        answer = client.post(f"/tei/{name}", content=content, headers={"content-type": "application/json"})
        assert answer.status_code in (400, 422) and answer.json()["error_type"], (content, answer.text)


def test_info_and_health(client: TestClient) -> None:
    found = client.get("/tei/info").json()
    assert (found["model_id"], found["max_input_length"], found["max_client_batch_size"]) == ("full@1", 64, 2048)
    assert found["model_type"] == {"embedding": {"pooling": None}} and found["model_dtype"]
    labels = client.get(f"/tei/{CLASSIFIER}/info").json()["model_type"]["classifier"]
    assert labels["id2label"]["0"] == "cat" and labels["label2id"]["cat"] == 0
    at_root = client.get("/info").json()
    assert at_root["name"] == "cloze" and at_root["max_input_length"] == 64
    assert client.get("/tei/health").status_code == 200


def test_errors_before_the_routes_are_in_the_same_shape(make_client: Callable[..., TestClient]) -> None:
    locked = make_client(api_keys=("key",))
    for path in ("/embed", "/tei/embed"):
        refused = locked.post(path, json={"inputs": "a"})
        assert (refused.status_code, refused.json()["error_type"]) == (401, "Validation")
    allowed = locked.post("/embed", json={"inputs": "a"}, headers={"authorization": "Bearer key"})
    assert allowed.status_code == 200
    assert locked.get("/tei/health").status_code == 200 and locked.post("/tei/health").status_code == 401
    too_many = make_client(max_queued_inputs=1).post("/embed", json={"inputs": ["a", "b"]})
    assert (too_many.status_code, too_many.json()["error_type"]) == (413, "Validation")
    shape = shape_finder(root_routes=True)("POST", "/embed")
    assert shape is not None and shape.write(Busy("full")) == (429, TeiError(error="full", error_type="Overloaded"))


def test_the_routes_at_the_root_can_be_switched_off(make_client: Callable[..., TestClient]) -> None:
    client = make_client(root_routes=False)
    assert client.post("/embed", json={"inputs": "a"}).status_code == 404
    assert client.post("/tei/embed", json={"inputs": "a"}).status_code == 200
    assert "model_type" not in client.get("/info").json()
