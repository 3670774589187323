"""HEAD, OPTIONS, `Allow`, trailing slashes and a root path, alike on every route."""

from collections.abc import Callable

import pytest
from fastapi.testclient import TestClient

from tests.fakes.redis import redis, redis_server  # noqa: F401

JOBS = "/v1/pretraining/jobs"
FILLED = {"{model_id}": "full", "{file_id}": "FILE", "{job_id}": "JOB", "{name}": "none.png"}


@pytest.fixture
def paths(jobs_client: TestClient) -> list[str]:
    """Every path that can be got, with ids of what is there."""
    upload = {"file": ("a.txt", b"The lions hunt.\n\nThe deer run.\n")}
    file = jobs_client.post("/v1/files", files=upload).json()["id"]
    job = jobs_client.post(JOBS, json={"model": "bert-tiny", "training_file": file}).json()["id"]
    document = jobs_client.get("/openapi.json").json()["paths"]
    found = ["/", "/docs", "/openapi.json", "/docs/assets/favicon.png"]
    for path, methods in document.items():
        if "get" in methods:
            for name, value in FILLED.items():
                path = path.replace(name, value)
            found.append(path.replace("FILE", file).replace("JOB", job))
    return found


def test_head_answers_as_get_does_without_a_body(jobs_client: TestClient, paths: list[str]) -> None:
    assert len(paths) > 30
    for path in paths:
        got, head = jobs_client.get(path), jobs_client.head(path)
        assert (head.status_code, head.content) == (got.status_code, b""), path
        for name in ("content-type", "content-length", "etag", "accept-ranges"):
            if path not in ("/metrics", "/openapi.json") or name != "content-length":
                assert head.headers.get(name) == got.headers.get(name), (path, name)


def test_head_of_a_stream_ends_at_its_headers(jobs_client: TestClient, paths: list[str]) -> None:
    [path] = [path for path in paths if path.startswith(JOBS) and path.endswith("/events")]
    answer = jobs_client.head(path, headers={"accept": "text/event-stream"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    assert answer.content == b""


def test_head_of_what_cannot_be_got(client: TestClient) -> None:
    answer = client.head("/v1/fill-mask")
    assert (answer.status_code, answer.headers["allow"], answer.content) == (405, "OPTIONS, POST", b"")
    assert client.head("/nothing").status_code == 404


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/v1/files", "GET, HEAD, OPTIONS, POST"),
        ("/v1/files/file-1", "DELETE, GET, HEAD, OPTIONS"),
        ("/v1/classify", "OPTIONS, POST"),
        ("/v1/embeddings", "OPTIONS, POST"),
        ("/health", "GET, HEAD, OPTIONS"),
        ("/", "GET, HEAD, OPTIONS, POST"),
        ("/v1/models/a/aliases/b", "DELETE, GET, HEAD, OPTIONS, PUT"),
        (JOBS, "GET, HEAD, OPTIONS, POST"),
        (f"{JOBS}/ftjob-1", "DELETE, GET, HEAD, OPTIONS"),
        (f"{JOBS}/validate", "OPTIONS, POST"),
        (f"{JOBS}/ftjob-1/cancel", "OPTIONS, POST"),
    ],
)
def test_allow_lists_what_the_path_has(client: TestClient, path: str, allowed: str) -> None:
    refused, asked = client.patch(path), client.options(path)
    assert (refused.status_code, refused.headers["allow"]) == (405, allowed)
    assert refused.json()["error"]["code"] == "method_not_allowed"
    assert (asked.status_code, asked.headers["allow"], asked.content) == (204, allowed, b"")


def test_options_of_a_path_that_leads_nowhere(client: TestClient) -> None:
    assert client.options("/nothing").status_code == 404


def test_validate_is_no_job(client: TestClient) -> None:
    for method in ("GET", "DELETE"):
        assert client.request(method, f"{JOBS}/validate").status_code == 405


def test_a_trailing_slash_changes_nothing(jobs_client: TestClient, paths: list[str]) -> None:
    for path in paths:
        if path != "/":
            plain, slashed = jobs_client.get(path), jobs_client.get(f"{path}/", follow_redirects=False)
            assert slashed.status_code == plain.status_code, path
    body = {"input": "a [MASK]"}
    assert jobs_client.post("/v1/fill-mask/", json=body, follow_redirects=False).status_code == 200
    assert jobs_client.get("/v1/models/").json() == jobs_client.get("/v1/models").json()


@pytest.mark.parametrize("cut_off", [True, False], ids=["the proxy cuts it off", "the proxy leaves it"])
def test_a_root_path(make_client: Callable[..., TestClient], cut_off: bool) -> None:
    client = make_client(root_path="/cloze/", api_keys=("secret",))
    place = "" if cut_off else "/cloze"
    page = client.get(f"{place}/docs")
    assert page.status_code == 200  # also without a key
    assert '"/cloze/docs/assets/swagger-ui-bundle.js"' in page.text and "'/cloze/openapi.json'" in page.text
    assert client.get(f"{place}/docs/assets/swagger-ui.css").status_code == 200
    document = client.get(f"{place}/openapi.json").json()
    assert document["servers"] == [{"url": "/cloze"}]
    assert client.get(f"{place}/health").status_code == 200
    assert client.get(f"{place}/v1/models").status_code == 401
    assert client.get(f"{place}/v1/models", headers={"authorization": "Bearer secret"}).status_code == 200


@pytest.mark.parametrize("path", ["cloze", "/a b", "/a?b", "//evil.example", "/a//b", "/ü"])
def test_a_root_path_that_cannot_be(make_client: Callable[..., TestClient], path: str) -> None:
    with pytest.raises(ValueError, match="expected a path such as /cloze"):
        make_client(root_path=path)
