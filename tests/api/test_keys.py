"""Named keys over HTTP: who may use which route, and how keys are made and revoked."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.jobs.connection import EmbeddedRedis
from tests.api.conftest import OPERATOR, MakeKey, refresh
from tests.fakes.jobs import JobSystem


def test_a_key_is_made_listed_used_and_revoked(keyed: TestClient, make_key: MakeKey) -> None:
    headers = make_key("predict", name="search", limits={"jobs": 0})

    assert keyed.get("/v1/models", headers=headers).status_code == 200
    refresh(keyed)
    (listed,) = keyed.get("/v1/keys", headers=OPERATOR).json()["data"]
    assert (listed["name"], listed["scopes"], listed["limits"]["jobs"]) == ("search", ["predict"], 0)
    assert listed["last_used_at"]
    assert "key" not in listed
    assert listed == keyed.get(f"/v1/keys/{listed['id']}", headers=OPERATOR).json()

    assert keyed.delete(f"/v1/keys/{listed['id']}", headers=OPERATOR).json()["deleted"]
    refresh(keyed)

    answer = keyed.get("/v1/models", headers=headers)
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert keyed.get(f"/v1/keys/{listed['id']}", headers=OPERATOR).status_code == 404


@pytest.mark.parametrize(
    ("scope", "allowed", "refused"),
    [
        ("predict", ("POST", "/v1/embeddings"), [("GET", "/v1/files"), ("POST", "/v1/models/full/load")]),
        ("jobs", ("GET", "/v1/files"), [("POST", "/v1/embeddings"), ("DELETE", "/v1/models/full@1")]),
        ("models", ("POST", "/v1/models/full/load"), [("GET", "/v1/sweeps"), ("GET", "/v1/keys")]),
        ("admin", ("GET", "/v1/keys"), []),
    ],
)
def test_a_key_opens_the_routes_of_its_scopes(
    keyed: TestClient,
    make_key: MakeKey,
    scope: str,
    allowed: tuple[str, str],
    refused: list[tuple[str, str]],
) -> None:
    headers = make_key(scope)
    body = {"input": "a lion"}

    assert keyed.request(*allowed, json=body if "embed" in allowed[1] else None, headers=headers).status_code == 200
    for method, path in refused:
        answer = keyed.request(method, path, headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden")
        assert f"has {scope}" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("path", "read"),
    [
        ("/v1/embeddings", lambda body: body["error"]["message"]),
        ("/tei/embed", lambda body: body["error"]),
        ("/embed", lambda body: body["error"]),
        ("/v2/embed", lambda body: body["message"]),
        ("/api/embed", lambda body: body["error"]),
        ("/models/full", lambda body: body["error"]["message"]),
    ],
)
def test_refusals_have_the_shape_of_the_dialect(
    keyed: TestClient, make_key: MakeKey, path: str, read: Callable[[Any], str]
) -> None:
    answer = keyed.post(path, json={}, headers=make_key("jobs"))

    assert answer.status_code == 403
    assert "the scope `predict`" in read(answer.json())


def test_keys_come_in_one_header_only(keyed: TestClient, make_key: MakeKey) -> None:
    key = make_key("predict")["authorization"].removeprefix("Bearer ")

    answer = keyed.get(f"/v1/models?api_key={key}")
    assert answer.status_code == 401
    assert "revoke" in answer.json()["error"]["message"] and key not in answer.text
    twice = [("authorization", f"Bearer {key}"), ("authorization", "Bearer other")]
    assert keyed.get("/v1/models", headers=twice).status_code == 401
    assert keyed.get("/v1/models", headers={"authorization": f"Bearer {key}{'x' * 60_000}"}).status_code == 401


def test_the_first_key_closes_an_open_server(
    make_client: Callable[..., TestClient], jobs: JobSystem, redis_server: EmbeddedRedis
) -> None:
    client = make_client(jobs=jobs, keys_at=redis_server.url)
    assert client.post("/v1/keys", json={"name": "client", "scopes": ["predict"]}).status_code == 409
    answer = client.post("/v1/keys", json={"name": "ops", "scopes": ["admin"]})
    assert answer.status_code == 200
    refresh(client)

    assert client.get("/v1/models").status_code == 401
    headers = {"authorization": f"Bearer {answer.json()['key']}"}
    assert client.delete(f"/v1/keys/{answer.json()['id']}", headers=headers).status_code == 409


def test_without_redis_there_are_no_named_keys(client: TestClient) -> None:
    assert client.get("/v1/keys").status_code == 503


def test_a_key_has_limits(keyed: TestClient, make_key: MakeKey) -> None:
    headers = make_key("predict", limits={"requests_per_minute": 2, "concurrency": 1})
    answers = [keyed.post("/v1/embeddings", json={"input": "a lion"}, headers=headers) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[0].headers["ratelimit-policy"] == '"requests";q=2;w=60'
    assert answers[0].headers["ratelimit"].startswith('"requests";r=1;t=')
    assert answers[2].json()["error"]["code"] == "rate_limit_exceeded"
    assert 1 <= int(answers[2].headers["retry-after"]) <= 60
    assert "ratelimit" not in keyed.get("/v1/models", headers=OPERATOR).headers
