"""What text tasks say over HTTP, with a real tiny model; the fakes of conftest.py stand in everywhere else."""

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.main import create_app
from app.objectives.registry import load
from app.settings import Settings
from app.store.importer import import_model
from app.store.store import ModelStore
from tests.fakes.tiny_models import tiny_bert_folder

TEXT = "The [MASK] of France is [MASK]."


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    folder = tmp_path_factory.mktemp("served")
    store = ModelStore(folder / "store")
    import_model(store, str(tiny_bert_folder(folder / "text")), "tiny", allow_hub=False, load=load)
    import_model(store, str(tiny_bert_folder(folder / "bare", head=False)), "bare", allow_hub=False, load=load)
    settings = Settings(var_dir=folder / "var", default_model="tiny", device="cpu", dtype="float32", threads=1)
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


@pytest.mark.parametrize("value", [-1, 21, "3", 1.5, None])
def test_num_sequences_is_checked(client: TestClient, value: Any) -> None:
    answer = client.post("/v1/fill-mask", json={"input": TEXT, "num_sequences": value})
    assert refusal(answer) == (422, "invalid_value", "num_sequences")
