import re
from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from app.errors import InvalidModel, InvalidValue
from app.main import create_app
from app.serving.runner import Runner
from app.settings import Settings
from app.store.store import ModelStore
from tests.api.conftest import publish
from tests.fakes.objective import MASK


def settled(client: TestClient) -> None:
    """Returns when the application is done with loading the default model, well or not."""

    async def warming() -> None:
        await client.app.state.warming  # type: ignore[attr-defined]

    assert client.portal is not None
    client.portal.call(warming)


def test_health_is_red_when_a_thread_is_dead(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    assert client.get("/health").json() == {"status": "ok"}
    monkeypatch.setattr(Runner, "alive", property(lambda self: False))

    for path in ("/health", "/ready"):
        answer = client.get(path)
        assert answer.status_code == 503
        assert answer.json()["error"]["code"] == "not_ready"


def test_not_ready_while_the_server_drains(client: TestClient) -> None:
    settled(client)
    client.app.state.services.draining = True  # type: ignore[attr-defined]
    answer = client.get("/ready")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "not_ready")
    assert client.get("/health").status_code == 200


def test_ready_once_the_default_model_is_loaded(client: TestClient) -> None:
    settled(client)
    assert client.get("/ready").json() == {"status": "ready"}
    assert client.get("/info").json()["loaded_models"] == ["full@1"]


def test_not_ready_with_a_default_model_that_does_not_exist(make_client: Callable[..., TestClient]) -> None:
    client = make_client(default_model="absent")
    settled(client)
    answer = client.get("/ready")

    assert answer.status_code == 503
    assert "'absent' does not exist" in answer.json()["error"]["message"]
    assert client.get("/health").status_code == 200
    assert [model["default"] for model in client.get("/v1/models").json()["data"]] == [False, False, False]


def test_ready_again_once_a_missing_default_model_is_there_and_loaded(
    make_client: Callable[..., TestClient], store: ModelStore, tmp_path: Path
) -> None:
    client = make_client(default_model="late")
    settled(client)
    publish(store, tmp_path, "late")
    assert client.get("/ready").status_code == 503

    client.post("/v1/models/late/load")

    assert client.get("/ready").json() == {"status": "ready"}


def test_not_ready_with_a_default_model_that_does_not_load(make_app: Callable[..., object], tmp_path: Path) -> None:
    def broken(path: Path) -> None:
        raise InvalidModel("its weights are cut off")

    with TestClient(make_app(load=broken)) as client:  # type: ignore[arg-type]
        settled(client)
        answer = client.get("/ready")

    assert answer.status_code == 503
    assert "cut off" in answer.json()["error"]["message"]


def test_an_empty_store_is_ready_for_jobs(tmp_path: Path) -> None:
    settings = Settings(var_dir=tmp_path / "var", model_store=tmp_path / "none", device="cpu", threads=1)
    with TestClient(create_app(settings)) as client:
        assert client.get("/v1/models").json() == {"object": "list", "data": []}
        assert client.get("/info").json()["model_id"] is None
        assert client.post("/v1/embeddings", json={"input": "a"}).status_code == 503
        settled(client)
        assert client.get("/ready").status_code == 200


def test_a_secret_that_cannot_sign_is_refused(tmp_path: Path) -> None:
    settings = Settings(var_dir=tmp_path / "var", webhook_url="http://127.0.0.1/", webhook_secret="whsec_c2hvcnQ=")
    with pytest.raises(InvalidValue, match="CLOZE_WEBHOOK_SECRET: expected whsec_ and 24 to 64 random bytes"):
        create_app(settings)


def test_metrics_tell_of_requests_batches_and_loads(client: TestClient) -> None:
    client.post("/v1/fill-mask", json={"model": "org/slashed", "input": [MASK, MASK]})
    client.post("/v1/fill-mask", json={"input": "no mask"})
    client.get("/v1/models/org/slashed")
    client.get("/no/such/path")

    text = client.get("/metrics").text

    for line in (
        'cloze_requests_total{method="POST",route="/v1/fill-mask",status="200"} 1.0',
        'cloze_request_errors_total{code="no_mask",method="POST",route="/v1/fill-mask"} 1.0',
        'cloze_request_errors_total{code="not_found",method="unmatched",route="unmatched"} 1.0',
        'cloze_request_seconds_count{method="POST",route="/v1/fill-mask"} 2.0',
        'cloze_requests_total{method="GET",route="/v1/models/{model_id:path}",status="200"} 1.0',
        "cloze_queue_depth 0.0",
        'cloze_model_load_seconds_count{model="org/slashed@1"} 1.0',
    ):
        assert line in text.splitlines()
    batches = re.search(r'cloze_batch_size_sum{device="cpu",model="org/slashed@1",task="fill-mask"} ([\d.]+)', text)
    assert batches is not None
    assert float(batches[1]) >= 2
    assert "cloze_jobs" not in text


def test_every_app_has_its_own_registry(make_client: Callable[..., TestClient]) -> None:
    first, second = make_client(), make_client()
    first.get("/health")

    assert 'route="/health"' in first.get("/metrics").text
    assert 'route="/health"' not in second.get("/metrics").text


def test_docs_come_from_this_server_alone(client: TestClient) -> None:
    page = client.get("/docs").text
    assets = re.findall(r'(?:src|href)="([^"]+)"', page)

    assert assets
    assert all(client.get(asset).status_code == 200 for asset in assets)
    assert not re.search(r"https?://", page)
    assert "<title>Cloze</title>" in client.get("/").text


def test_every_json_post_has_examples_and_they_work(client: TestClient) -> None:
    schema = client.get("/openapi.json").json()
    tried = 0
    for path, methods in schema["paths"].items():
        content = methods.get("post", {}).get("requestBody", {}).get("content", {}).get("application/json")
        if content is None:
            continue
        assert content["examples"], path
        # These need a file, a hub, Redis, or a model of pictures or with labels.
        needy = (
            "/v1/classify",
            "/v1/models/import",
            "/v1/reconstruct",
            "/v1/evaluations",
            "/v1/sweeps",
            "/tei/predict",
            "/v1/keys",
        )
        if "jobs" in path or "{" in path or path in needy:
            continue
        for example in content["examples"].values():
            if "[MASK:" in str(example) or "mask" in example["value"]:
                continue  # the fake model knows no spans, and no masks by meaning
            assert client.post(path, json=example["value"]).status_code == 200, (path, example)
            tried += 1
    assert tried >= 7


@pytest.mark.parametrize("path", ["/v1/pretraining/jobs", "/v1/files"])
def test_without_redis_only_files_and_jobs_are_missing(client: TestClient, path: str) -> None:
    answer = client.get(path)

    assert answer.status_code == 503
    assert "Redis" in answer.json()["error"]["message"]
    assert client.post("/v1/fill-mask", json={"input": MASK}).status_code == 200
