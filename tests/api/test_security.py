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


OWN = [
    "localhost",
    "localhost:8000",
    "127.0.0.1:8000",
    "[::1]:8000",
    "192.168.1.7",
    "api:8000",
    "Cloze.Local:80",
    "a.localhost.",
]
FOREIGN = ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "localhost.evil.example", "[::1", "a.b]c"]


@pytest.mark.parametrize("host", OWN)
def test_the_servers_own_names_are_served(client: TestClient, host: str) -> None:
    assert client.get("/health", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("host", FOREIGN)
def test_without_keys_no_other_name_leads_here(make_client: Callable[..., TestClient], host: str) -> None:
    for path in ("/", "/health", "/v1/models"):
        answer = make_client().get(path, headers={"host": host})
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden")
        assert "CLOZE_ALLOWED_HOSTS" in answer.json()["error"]["message"]
        assert answer.headers["x-request-id"]
    for settings in ({"allowed_hosts": ("*",)}, {"api_keys": ("key",)}):
        assert make_client(**settings).get("/health", headers={"host": host}).status_code == 200


def test_names_may_be_listed(make_client: Callable[..., TestClient]) -> None:
    client = make_client(allowed_hosts=("Cloze.Example", "other.example"), host="own.example")
    for host, status in (("cloze.example:8000", 200), ("own.example", 200), ("a.cloze.example", 403)):
        assert client.get("/health", headers={"host": host}).status_code == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 404),
        ({"origin": "http://testserver"}, 404),
        ({"origin": "https://TESTSERVER:8443"}, 404),  # a proxy may hide the port
        ({"origin": "https://listed.example"}, 404),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": ""}, 403),
        ({"origin": "https://evil.example", "sec-fetch-site": "cross-site"}, 403),
        ({"origin": "https://evil.example", "sec-fetch-site": "same-site"}, 403),
        ({"origin": "https://cloze.example", "sec-fetch-site": "same-origin"}, 404),
    ],
)
@pytest.mark.parametrize("keys", [(), ("key",)])
def test_pages_of_other_hosts_change_nothing(
    make_client: Callable[..., TestClient], keys: tuple[str, ...], headers: dict[str, str], status: int
) -> None:
    client = make_client(api_keys=keys, allowed_hosts=("listed.example",))
    headers = {**headers, "authorization": "Bearer key"}

    assert client.post("/v1/models/absent/load", headers=headers).status_code == status
    assert client.delete("/v1/models/absent", headers=headers).status_code == status
    assert client.get("/v1/models", headers=headers).status_code == 200
