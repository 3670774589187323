import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from httpx import Response

from app.jobs.connection import Client
from app.jobs.jobs import Jobs
from app.jobs.kinds import EvaluationSpec
from app.jobs.spec import Verdict
from app.store.store import ModelStore
from tests.api.conftest import publish
from tests.fakes.jobs import JobSystem, make_spec
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
    assert (loaded["loaded"], loaded["max_length"], loaded["memory_bytes"]) == (True, 64, 8)  # two float32
    assert fakes[name].placed is not None
    assert client.get(f"/v1/models/{name}").json()["loaded"] is True

    unloaded = client.post(f"/v1/models/{name}/unload").json()
    assert (unloaded["loaded"], unloaded["max_length"], unloaded["memory_bytes"]) == (False, None, None)
    assert client.post("/v1/models/absent/unload").status_code == 404
    assert client.post("/v1/models/absent/load").status_code == 404


def test_a_publication_is_served_by_the_next_request(client: TestClient, store: ModelStore, tmp_path: Path) -> None:
    ask = {"model": "new", "input": "[MASK]"}
    assert client.post("/v1/fill-mask", json=ask).status_code == 404

    publish(store, tmp_path, "new")

    assert client.post("/v1/fill-mask", json=ask).json()["model"] == "new@1"
    publish(store, tmp_path, "new")
    assert client.post("/v1/fill-mask", json=ask).json()["model"] == "new@2"


def test_a_deleted_model_is_out_of_store_and_memory(client: TestClient, store: ModelStore, tmp_path: Path) -> None:
    publish(store, tmp_path, "org/slashed")
    for version in (1, 2):
        client.post(f"/v1/models/org/slashed@{version}/load")

    answer = client.delete("/v1/models/org/slashed@2")

    assert answer.json() == {"id": "org/slashed@2", "object": "model", "deleted": True}
    assert client.app.state.services.pool.loaded() == ["org/slashed@1", "full@1"]  # type: ignore[attr-defined]
    assert client.get("/v1/models/org/slashed").json()["versions"] == [1]
    assert client.delete("/v1/models/org%2Fslashed").status_code == 200
    assert client.delete("/v1/models/org%2Fslashed").status_code == 404
    assert client.app.state.services.pool.loaded() == ["full@1"]  # type: ignore[attr-defined]


def test_what_is_not_deleted(jobs_client: TestClient, jobs: Jobs, redis: Client, store: ModelStore) -> None:
    jobs_client.post("/v1/models/bare/load")
    job = jobs.create(make_spec(redis, model="bare@1"))
    for path in ("bare", "bare@1"):
        answer = jobs_client.delete(f"/v1/models/{path}")
        assert answer.status_code == 409
        assert job.id in answer.json()["error"]["message"]
    assert jobs_client.get("/v1/models/bare").json()["loaded"]
    assert jobs_client.delete("/v1/models/bare:latest").status_code == 422
    jobs.cancel(job.id)
    assert jobs_client.delete("/v1/models/bare@1").json()["deleted"] is True


def test_aliases(client: TestClient, store: ModelStore, tmp_path: Path) -> None:
    publish(store, tmp_path, "org/slashed")
    path = "/v1/models/org/slashed/aliases/prod"

    body = client.put(path, json={"version": 1}).json()

    assert (body["id"], body["version"], body["aliases"]) == ("org/slashed:prod", 1, {"prod": 1})
    assert client.put(path, json={"version": 2}).json()["version"] == 2
    assert client.post("/v1/embeddings", json={"model": "org/slashed:prod", "input": "a"}).json()["model"][-2:] == "@2"
    assert client.delete(path.replace("org/", "org%2F")).json()["aliases"] == {}
    assert client.delete(path).status_code == 404
    assert client.get("/v1/models/org/slashed:prod").status_code == 404


@pytest.mark.parametrize(
    ("path", "body", "status", "param"),
    [
        ("full/aliases/prod", {"version": 9}, 404, "model"),
        ("absent/aliases/prod", {"version": 1}, 404, "model"),
        ("full/aliases/latest", {"version": 1}, 422, "alias"),
        ("full/aliases/7", {"version": 1}, 422, "alias"),
        ("full/aliases/prod", {"version": 0}, 422, "version"),
        ("full/aliases/prod", {"version": "1"}, 422, "version"),
        ("full/aliases/prod", {}, 422, "version"),
    ],
)
def test_aliases_that_are_refused(client: TestClient, path: str, body: dict[str, int], status: int, param: str) -> None:
    answer = client.put(f"/v1/models/{path}", json=body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (status, param)


def test_the_card(client: TestClient, store: ModelStore) -> None:
    assert client.get("/v1/models/org/slashed/card").status_code == 404
    (store.resolve("org/slashed").path / "README.md").write_text("# Schönes Modell\n", encoding="utf-8")

    answer = client.get("/v1/models/org%2Fslashed/card")

    assert answer.headers["content-type"] == "text/markdown; charset=utf-8"
    assert answer.text == "# Schönes Modell\n"
    assert client.get("/v1/models/absent/card").json()["error"]["code"] == "model_not_found"


def test_the_card_ends_with_the_evaluations(
    jobs_client: TestClient, jobs: JobSystem, store: ModelStore, redis: Client
) -> None:
    (store.resolve("full").path / "README.md").write_text("# Full\n", encoding="utf-8")
    file = make_spec(redis).files[0][1]
    spec = EvaluationSpec(
        name="topics", models=("full@1",), file=file, labels_per_class=("all",), seeds=1, methods=("knn",)
    )
    verdict = Verdict(summary="Good.", advice="")
    done, other = jobs.create(spec), jobs.create(spec.model_copy(update={"models": ("bare@1",)}))
    for job in (done, other):
        jobs.rewrite(job.id, verdict=verdict)
    card = jobs_client.get("/v1/models/full/card").text
    assert card.startswith("# Full\n") and card.endswith(f"## Evaluations\n\n- **topics** (`{done.id}`): Good.\n")


def test_the_card_of_a_repaired_tokenizer_says_so(
    client: TestClient, store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = store.resolve("org/slashed").path
    (folder / "README.md").write_text("# Model\n", encoding="utf-8")
    monkeypatch.setattr("app.api.routes.models.keeps_space_before_mask", lambda path: path == folder)
    assert "## Repaired tokenizer" in client.get("/v1/models/org/slashed/card").text


def test_an_archive_is_downloaded_in_parts(client: TestClient) -> None:
    whole = client.get("/v1/models/org/slashed/archive")
    etag = whole.headers["etag"]
    assert whole.status_code == 200
    assert int(whole.headers["content-length"]) == len(whole.content)
    assert whole.headers["content-disposition"] == 'attachment; filename="org-slashed-1.tar"'
    with tarfile.open(fileobj=io.BytesIO(whole.content), mode="r:") as tar:
        assert tar.getnames() == ["manifest.json", "model.safetensors"]

    def get(**headers: str) -> Response:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return client.get("/v1/models/org%2Fslashed%401/archive", headers=sent)

    rest = get(range="bytes=700-", if_range=etag)
    assert (rest.status_code, rest.content, rest.headers["etag"]) == (206, whole.content[700:], etag)
    assert rest.headers["content-range"] == f"bytes 700-{len(whole.content) - 1}/{len(whole.content)}"
    assert get(range="bytes=700-", if_range='"another"').content == whole.content
    beyond = get(range=f"bytes={len(whole.content)}-")
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{len(whole.content)}")
    assert client.get("/v1/models/none/archive").status_code == 404
