"""POST /v1/classify on fake models: shape, options, refusals, streams."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from app.modalities.classification import score_labels
from app.store.store import ModelStore
from app.types import Activation, Classifier, ClassifierType, Task
from tests.api.conftest import Fakes, publish
from tests.fakes.objective import HEAD, FakeObjective, make_head, token_id

NAME = "classifier"
TASKS = (Task.EMBED, Task.CLASSIFY)


@pytest.fixture
def client(client: TestClient, store: ModelStore, tmp_path: Path, fakes: Fakes) -> TestClient:
    fakes[NAME] = FakeObjective(TASKS)
    publish(store, tmp_path, NAME, tasks=TASKS, classifier=HEAD.classifier)
    return client


def ask(client: TestClient, given: object, **options: object) -> Any:
    answer = client.post("/v1/classify", json={"model": NAME, "input": given, **options})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_labels_with_probabilities(client: TestClient) -> None:
    body = ask(client, ["a lion", "one deer runs"])

    assert body.keys() == {"object", "data", "model", "usage"}
    assert (body["object"], body["model"], body["usage"]["total_tokens"]) == ("list", "classifier@1", 5)
    assert [each["index"] for each in body["data"]] == [0, 1]
    first = body["data"][0]
    assert first.keys() == {"object", "index", "type", "label", "scores"}
    assert (first["object"], first["type"], first["label"]) == (
        "classification",
        "single_label",
        first["scores"][0]["label"],
    )
    scores = [each["score"] for each in first["scores"]]
    assert scores == sorted(scores, reverse=True) and sum(scores) == pytest.approx(1)


def test_scores_are_those_of_the_head(client: TestClient) -> None:
    options = {"model": NAME, "input": "a lion", "normalize": False}
    vector = np.array(client.post("/v1/embeddings", json=options).json()["data"][0]["embedding"])
    expected = score_labels(HEAD.classifier, HEAD.logits(vector))

    found = {each["label"]: each["score"] for each in ask(client, "a lion")["data"][0]["scores"]}
    np.testing.assert_allclose([found[label] for label in HEAD.classifier.labels], expected, atol=1e-5)


def test_inputs_and_options(client: TestClient) -> None:
    ids = [token_id("a"), token_id("lion")]
    text = ask(client, "a lion")["data"]
    assert ask(client, ids, token_ids=True)["data"] == text
    assert client.post("/v1/classify", json={"model": NAME, "input": ids}).json()["error"]["param"] == "input"
    assert len(ask(client, "a lion", top_k=1)["data"][0]["scores"]) == 1
    assert ask(client, " ".join(["long"] * 100), truncate=True)["usage"]["total_tokens"] == 64


@pytest.mark.parametrize(
    ("type_", "activation", "fields"),
    [(ClassifierType.MULTI_LABEL, Activation.SIGMOID, {"labels"}), (ClassifierType.REGRESSION, Activation.NONE, set())],
)
def test_other_types(
    client: TestClient, fakes: Fakes, type_: ClassifierType, activation: Activation, fields: set[str]
) -> None:
    head = make_head(Classifier(labels=("x", "y"), type=type_, activation=activation))
    fakes[NAME] = FakeObjective(TASKS, head=head)
    (found,) = ask(client, "a lion")["data"]
    assert found.keys() == {"object", "index", "type", "label", "scores"} | fields
    assert found["type"] == type_
    assert (found["label"] is None) == (type_ is ClassifierType.REGRESSION)


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({"input": []}, 400, "input"),
        ({"input": ""}, 400, "input"),
        ({"input": None}, 422, "input"),
        ({}, 422, "input"),
        ({"input": [-1]}, 422, "input"),
        ({"input": [1, "a"]}, 422, "input"),
        ({"input": {"text": "a"}}, 422, "input"),
        ({"input": {"text": "a", "text_pair": 3}}, 422, "input"),
        ({"input": [{"text": "a", "text_pair": "b"}, [1]]}, 422, "input"),
        ({"input": {"text": "a", "text_pair": "b"}}, 422, "input"),
        ({"input": "a", "aggregation_strategy": "simple"}, 422, "aggregation_strategy"),
        ({"input": "a", "aggregation_strategy": "most"}, 422, "aggregation_strategy"),
        ({"input": "a", "stride": -1}, 422, "stride"),
        ({"input": "a", "ignore_labels": "O"}, 422, "ignore_labels"),
        ({"input": "data:image/png;base64,%"}, 422, "input"),
        ({"input": " ".join(["long"] * 100)}, 422, "input"),
        ({"input": "a", "top_k": 0}, 422, "top_k"),
        ({"input": "a", "top_k": 10**8}, 422, "top_k"),
        ({"input": "a", "top_k": "3"}, 422, "top_k"),
        ({"input": "a", "truncation_side": "up"}, 422, "truncation_side"),
        ({"input": "a", "threshold": 0.5}, 422, "threshold"),
        ({"input": "a", "model": "full"}, 422, "model"),
        ({"input": "a", "model": "none"}, 404, "model"),
    ],
)
def test_refusals(client: TestClient, body: dict[str, object], status: int, param: str) -> None:
    answer = client.post("/v1/classify", json={"model": NAME, **body})
    assert (answer.status_code, answer.json()["error"]["param"]) == (status, param), answer.text


def test_a_model_without_labels_says_what_it_can_do(client: TestClient) -> None:
    message = client.post("/v1/classify", json={"model": "bare", "input": "a"}).json()["error"]["message"]
    assert "bare@1 cannot do classify; it can do embeddings" in message


def test_an_answer_that_is_too_large_is_refused(client: TestClient, fakes: Fakes) -> None:
    labels = tuple(f"{number} {'x' * 2000}" for number in range(40))
    kind = HEAD.classifier.model_copy(update={"labels": labels})
    fakes[NAME] = FakeObjective(TASKS, head=make_head(kind))
    answer = client.post("/v1/classify", json={"model": NAME, "input": ["a"] * 500, "top_k": 40})
    assert (answer.status_code, answer.json()["error"]["param"]) == (422, "top_k")


def test_a_stream_answers_line_by_line(client: TestClient) -> None:
    answer = client.post(
        "/v1/classify",
        params={"model": NAME, "top_k": 2},
        content=b'"a lion"\n{"id": "x", "input": " "}\n{"id": 7, "input": "a deer"}\n',
        headers={"content-type": "application/x-ndjson"},
    )
    first, wrong, last = sorted(map(json.loads, answer.text.splitlines()), key=lambda line: line["index"])
    assert first["label"] == ask(client, "a lion")["data"][0]["label"] and len(first["scores"]) == 2
    assert (wrong["id"], wrong["error"]["param"]) == ("x", "input")
    assert (last["id"], last["usage"]["total_tokens"]) == (7, 2)


def test_the_model_lists_its_labels(client: TestClient) -> None:
    found = client.get(f"/v1/models/{NAME}").json()
    assert found["tasks"] == ["embeddings", "classify"]
    assert found["classifier"]["labels"] == ["cat", "dog", "hen"]
    assert client.get("/v1/models/full").json()["classifier"] is None
