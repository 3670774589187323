"""The log of changes over HTTP."""

from fastapi.testclient import TestClient

from tests.api.conftest import OPERATOR, MakeKey


def test_changes_that_succeeded_are_logged(keyed: TestClient, make_key: MakeKey) -> None:
    headers = {**make_key("jobs", "predict", "models", name="team"), "x-request-id": "request-7"}
    file_id = keyed.post("/v1/files", files={"file": ("a.txt", b"The lions hunt.")}, headers=headers).json()["id"]
    keyed.post("/v1/files?token=secret", files={"file": ("a.txt", b"")}, headers=headers)  # refused
    keyed.post("/v1/embeddings", json={"input": "a lion"}, headers=headers)  # changes nothing
    keyed.get("/v1/files", headers=headers)
    keyed.put("/v1/models/full/aliases/best", json={"version": 1}, headers=OPERATOR)
    assert keyed.delete(f"/v1/files/{file_id}?reason=secret", headers=headers).status_code == 200

    answer = keyed.get("/v1/audit", headers=OPERATOR)
    found = answer.json()["data"]

    assert [(each["action"], each["object_id"], each["key_name"]) for each in found] == [
        ("delete_file", file_id, "team"),
        ("set_alias", "full/best", "operator"),
        ("upload_file", file_id, "team"),
        ("create_key", headers["key-id"], "operator"),
    ]
    assert (found[0]["key_id"], found[0]["request_id"]) == (headers["key-id"], "request-7")
    assert found[0]["address"] and found[0]["created_at"] > 1e9
    assert "secret" not in answer.text and "cloze_" not in answer.text
    assert keyed.get("/v1/audit", headers=headers).status_code == 403
    page = keyed.get("/v1/audit", params={"limit": 2, "after": found[0]["id"]}, headers=OPERATOR).json()
    assert [each["id"] for each in page["data"]] == [each["id"] for each in found[1:3]]
    assert page["has_more"]


def test_without_redis_there_is_no_log(client: TestClient) -> None:
    assert client.get("/v1/audit").status_code == 503
