from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from app.store.store import ModelStore
from tests.api.conftest import publish
from tests.fakes.objective import FakeObjective


def test_list_has_the_default_first_and_one_entry_a_name(
    make_client: Callable[..., TestClient], store: ModelStore, tmp_path: Path
) -> None:
    publish(store, tmp_path, "bare", job_id="ftjob-1", parents=("full@1",))
    store.set_alias("bare", "stable", 1)

    body = make_client(default_model="org/slashed").get("/v1/models").json()

    assert body["object"] == "list"
    assert [model["id"] for model in body["data"]] == ["org/slashed", "bare", "full"]
    slashed, bare, _ = body["data"]
    assert (slashed["default"], bare["default"]) == (True, False)
    assert (bare["version"], bare["versions"], bare["aliases"]) == (2, [2, 1], {"stable": 1})
    assert (bare["object"], bare["owned_by"], bare["modality"]) == ("model", "cloze", "text")
    assert (bare["tasks"], bare["parameters"]) == (["embeddings"], 2)
    assert (bare["parents"], bare["job_id"]) == (["full@1"], "ftjob-1")
    assert bare["created"] > 0


@pytest.mark.parametrize(
    "path", ["org/slashed", "org%2Fslashed", "org/slashed@1", "org%2Fslashed%401", "org/slashed:latest"]
)
def test_ids_with_slashes(client: TestClient, path: str) -> None:
    body = client.get(f"/v1/models/{path}").json()

    assert (body["name"], body["version"]) == ("org/slashed", 1)


def test_unknown_model(client: TestClient) -> None:
    answer = client.get("/v1/models/fulll")

    assert answer.status_code == 404
    assert "near it: full" in answer.json()["error"]["message"]


@pytest.mark.parametrize("name", ["full", "org/slashed"])
def test_load_and_unload(client: TestClient, fakes: dict[str, FakeObjective], name: str) -> None:
    loaded = client.post(f"/v1/models/{name}/load").json()
    assert (loaded["loaded"], loaded["max_length"]) == (True, 64)
    assert fakes[name].placed is not None
    assert client.get(f"/v1/models/{name}").json()["loaded"] is True

    unloaded = client.post(f"/v1/models/{name}/unload").json()
    assert (unloaded["loaded"], unloaded["max_length"]) == (False, None)
    assert client.post("/v1/models/absent/unload").status_code == 404
    assert client.post("/v1/models/absent/load").status_code == 404


def test_a_publication_is_served_by_the_next_request(client: TestClient, store: ModelStore, tmp_path: Path) -> None:
    ask = {"model": "new", "input": "[MASK]"}
    assert client.post("/v1/fill-mask", json=ask).status_code == 404

    publish(store, tmp_path, "new")

    assert client.post("/v1/fill-mask", json=ask).json()["model"] == "new@1"
    publish(store, tmp_path, "new")
    assert client.post("/v1/fill-mask", json=ask).json()["model"] == "new@2"
