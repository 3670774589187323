from collections.abc import Callable

import pytest
from fastapi.testclient import TestClient


@pytest.fixture
def locked(make_client: Callable[..., TestClient]) -> TestClient:
    return make_client(api_keys=("key-one", "schlüssel"))


@pytest.mark.parametrize(
    "header", [None, "Bearer wrong", "key-one", "Basic key-one", "Bearer ", "Bearer \xe9", "bearer key-on"]
)
def test_refused_without_a_key(locked: TestClient, header: str | None) -> None:
    headers = {"authorization": header.encode("latin-1")} if header is not None else {}
    answer = locked.get("/v1/models", headers=headers)  # type: ignore[arg-type]

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.headers["x-request-id"]
    assert answer.json()["error"]["code"] == "invalid_api_key"


@pytest.mark.parametrize("key", ["key-one", "schlüssel"])
def test_any_of_the_keys_opens(locked: TestClient, key: str) -> None:
    assert locked.get("/v1/models", headers={"authorization": f"Bearer {key}".encode()}).status_code == 200  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("path", "status"), [("/health", 200), ("/docs", 200), ("/openapi.json", 200), ("/metrics", 401), ("/info", 401)]
)
def test_what_is_open(locked: TestClient, path: str, status: int) -> None:
    assert locked.get(path).status_code == status


def test_without_keys_any_token_is_ignored(client: TestClient) -> None:
    assert client.get("/v1/models", headers={"authorization": "Bearer hf_ambient"}).status_code == 200
