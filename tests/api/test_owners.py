"""Jobs, files and models belong to the key that made them."""

from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.store.store import ModelStore
from tests.api.conftest import OPERATOR, MakeKey, publish
from tests.fakes.jobs import JobSystem

JOBS = "/v1/pretraining/jobs"
Headers = dict[str, str]


def upload(client: TestClient, headers: Headers, size: int = 40) -> Any:
    content = (b"The lions hunt.\n\nThe deer run.\n" * size)[:size]
    return client.post("/v1/files", files={"file": ("a.txt", content)}, headers=headers)


def create(client: TestClient, headers: Headers, file_id: str, **body: Any) -> Any:
    body = {"model": "bert-tiny", "training_file": file_id, "name": "mine", **body}
    return client.post(JOBS, json=body, headers={"idempotency-key": "one", **headers})


@pytest.fixture
def mine(make_key: MakeKey) -> Headers:
    return make_key("jobs", "models", name="mine")


@pytest.fixture
def other(make_key: MakeKey) -> Headers:
    return make_key("jobs", "models", name="other")


def test_a_key_sees_its_own_files_and_jobs(keyed: TestClient, mine: Headers, other: Headers) -> None:
    file = upload(keyed, mine).json()
    job = create(keyed, mine, file["id"]).json()

    assert (file["owner"], job["owner"]) == (mine["key-id"],) * 2
    for headers, seen in ((mine, True), (other, False), (OPERATOR, True)):
        for path, item in (("/v1/files", file["id"]), (JOBS, job["id"])):
            listed = [each["id"] for each in keyed.get(path, headers=headers).json()["data"]]
            assert (item in listed) is seen
            assert keyed.get(f"{path}/{item}", headers=headers).status_code == (200 if seen else 404)
            assert (keyed.get(path, params={"after": item}, headers=headers).status_code == 200) is seen


def test_nothing_of_another_key_can_be_changed_or_read(keyed: TestClient, mine: Headers, other: Headers) -> None:
    file_id = upload(keyed, mine).json()["id"]
    job_id = create(keyed, mine, file_id).json()["id"]

    for method, path in (
        *(("GET", f"{JOBS}/{job_id}/{name}") for name in ("events", "metrics", "logs", "artifacts", "checkpoints")),
        *(("GET", f"{JOBS}/{job_id}/{name}") for name in ("webhooks", "metrics.csv", "artifacts/a.png")),
        *(("POST", f"{JOBS}/{job_id}/{name}") for name in ("cancel", "pause", "resume", "retry")),
        ("POST", f"/v1/sweeps/{job_id}/cancel"),
        ("DELETE", f"{JOBS}/{job_id}"),
        ("GET", f"/v1/files/{file_id}/content"),
        ("DELETE", f"/v1/files/{file_id}"),
    ):
        assert keyed.request(method, path, headers=other).status_code == 404, (method, path)
    assert create(keyed, other, file_id).status_code == 404
    assert keyed.get(f"{JOBS}/{job_id}", headers=mine).json()["status"] == "queued"


def test_the_same_idempotency_key_of_two_keys_makes_two_jobs(keyed: TestClient, mine: Headers, other: Headers) -> None:
    jobs = [create(keyed, headers, upload(keyed, headers).json()["id"]).json()["id"] for headers in (mine, other)]

    assert len(set(jobs)) == 2


def test_a_key_publishes_under_new_names_and_its_own(
    keyed: TestClient, mine: Headers, store: ModelStore, tmp_path: Path
) -> None:
    publish(store, tmp_path, "own", owner=mine["key-id"])
    file_id = upload(keyed, mine).json()["id"]

    for name, status in (("full", 403), ("own", 200), ("fresh", 200)):
        headers = {**mine, "idempotency-key": name}
        assert create(keyed, headers, file_id, name=name).status_code == status
    assert create(keyed, OPERATOR, file_id, name="full").status_code == 200
    for name, status in (("full", 403), ("own", 200)):
        path = f"/v1/models/{name}/aliases/best"
        assert keyed.put(path, json={"version": 1}, headers=mine).status_code == status
        owner = mine["key-id"] if name == "own" else "cloze"
        assert keyed.get(f"/v1/models/{name}", headers=mine).json()["owned_by"] == owner
        assert keyed.delete(f"/v1/models/{name}", headers=mine).status_code == status


def test_a_key_has_a_limited_number_of_jobs(keyed: TestClient, make_key: MakeKey, jobs: JobSystem) -> None:
    headers = make_key("jobs", limits={"jobs": 2})
    file_id = upload(keyed, headers).json()["id"]

    def submit(number: int) -> Any:
        return create(keyed, {**headers, "idempotency-key": str(number)}, file_id)

    first = submit(1).json()["id"]
    assert submit(2).status_code == 200
    refused = submit(3)
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "quota_exceeded")
    assert refused.headers["retry-after"] == "60"
    keyed.post(f"{JOBS}/{first}/cancel", headers=headers)
    assert submit(3).status_code == 200
    assert keyed.post(f"{JOBS}/{first}/retry", headers=headers).status_code == 429
    assert keyed.post(f"{JOBS}/{first}/retry", headers=OPERATOR).status_code == 200


def test_a_key_has_a_limited_storage(keyed: TestClient, make_key: MakeKey) -> None:
    headers = make_key("jobs", limits={"storage_bytes": 1500})

    assert upload(keyed, headers, 1000).status_code == 200
    refused = upload(keyed, headers, 1000)
    assert (refused.status_code, refused.json()["error"]["code"]) == (507, "insufficient_storage")
    assert "may have 1500 in all" in refused.json()["error"]["message"]
    assert len(keyed.get("/v1/files", headers=headers).json()["data"]) == 1
    assert upload(keyed, OPERATOR, 1000).status_code == 200
