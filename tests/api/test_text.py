"""What text tasks say over HTTP, with a real tiny model; the fakes of conftest.py stand in everywhere else."""

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.main import create_app
from app.settings import Settings
from app.store.store import ModelStore
from tests.fakes.imports import import_folder
from tests.fakes.tiny_models import tiny_bert_folder

TEXT = "The [MASK] of France is [MASK]."


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    folder = tmp_path_factory.mktemp("served")
    store = ModelStore(folder / "store")
    import_folder(store, tiny_bert_folder(folder / "text"), "tiny")
    import_folder(store, tiny_bert_folder(folder / "bare", head=False), "bare")
    settings = Settings(var_dir=folder / "var", default_model="tiny", device="cpu", dtype="float32", forwards=2)
    with TestClient(create_app(settings, store=store)) as client:
        yield client


def refusal(answer: Any) -> tuple[int, str, str]:
    error = answer.json()["error"]
    return answer.status_code, error["code"], error["param"]


def test_sequences_beside_the_masks(client: TestClient) -> None:
    plain = client.post("/v1/fill-mask", json={"input": TEXT}).json()
    body = client.post("/v1/fill-mask", json={"input": [TEXT, "[MASK]"], "num_sequences": 3}).json()

    assert plain["data"][0].keys() == {"index", "masks"}
    assert [len(filled["sequences"]) for filled in body["data"]] == [3, 3]
    best = body["data"][0]["sequences"][0]
    assert best.keys() == {"sequence", "log_prob", "tokens"}
    assert [token.keys() for token in best["tokens"]] == [{"token", "token_str"}] * 2
    assert best["log_prob"] < 0 and "[MASK]" not in best["sequence"]
    log_probs = [each["log_prob"] for each in body["data"][0]["sequences"]]
    assert log_probs == sorted(log_probs, reverse=True)


@pytest.mark.parametrize("value", [-1, 21, "3", 1.5])
def test_num_sequences_is_checked(client: TestClient, value: Any) -> None:
    answer = client.post("/v1/fill-mask", json={"input": TEXT, "num_sequences": value})
    assert refusal(answer) == (422, "invalid_value", "num_sequences")


def test_scores(client: TestClient) -> None:
    inputs = ["The lions chase the zebras.", "zebras"]
    body = client.post("/v1/score", json={"input": inputs, "top_k": 2}).json()

    assert (body["object"], body["model"]) == ("score", "tiny@1")
    assert [scored["index"] for scored in body["data"]] == [0, 1]
    scored = body["data"][0]
    assert scored.keys() == {"index", "log_likelihood", "pseudo_perplexity", "tokens"}
    assert scored["tokens"][0].keys() == {
        "token", "token_str", "start", "end", "word", "log_prob", "rank", "candidates",
    }  # fmt: skip
    assert scored["tokens"][0]["candidates"][0].keys() == {"score", "token", "token_str"}
    assert sum(token["log_prob"] for token in scored["tokens"]) == pytest.approx(scored["log_likelihood"])
    assert [len(token["candidates"]) for token in scored["tokens"]] == [2] * len(scored["tokens"])
    assert body["usage"]["prompt_tokens"] == sum(len(scored["tokens"]) + 2 for scored in body["data"])
    alone = client.post("/v1/score", json={"input": inputs[0], "method": "original"}).json()
    assert alone["data"][0]["tokens"][0]["candidates"] == []


@pytest.mark.parametrize(
    ("body", "status", "code", "param"),
    [
        ({"input": ""}, 400, "empty_input", "input"),
        ({"input": "[MASK]"}, 422, "invalid_value", "input"),
        ({"input": "a", "method": "best"}, 422, "invalid_value", "method"),
        ({"input": "a", "top_k": 21}, 422, "invalid_value", "top_k"),
        ({"input": "a", "top_k": -1}, 422, "invalid_value", "top_k"),
        ({"input": "the " * 99}, 422, "input_too_long", "input"),
        ({"input": "a", "model": "bare"}, 422, "task_not_supported", "model"),
        ({"input": "a", "targets": ["b"]}, 422, "invalid_value", "targets"),
    ],
)
def test_scores_that_are_refused(client: TestClient, body: Any, status: int, code: str, param: str) -> None:
    assert refusal(client.post("/v1/score", json=body)) == (status, code, param)


def test_a_model_with_a_head_says_that_it_scores(client: TestClient) -> None:
    tasks = {model["id"]: set(model["tasks"]) for model in client.get("/v1/models").json()["data"]}
    assert tasks == {"tiny": {"fill-mask", "score", "embeddings"}, "bare": {"embeddings"}}
