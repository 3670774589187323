"""Every failure has its status, one envelope and a request id."""

import asyncio
import json
import logging
from collections.abc import Callable, Iterator

import pytest
from fastapi.testclient import TestClient

from app.api.middleware.request_id import RequestIdMiddleware
from app.errors import Busy
from tests.fakes.objective import MASK, FakeObjective

JSON = {"content-type": "application/json"}


def error_of(answer: object) -> dict[str, object]:
    body = answer.json()  # type: ignore[attr-defined]
    assert body.keys() == {"error"}
    assert body["error"].keys() == {"message", "type", "code", "param"}
    assert answer.headers["x-request-id"]  # type: ignore[attr-defined]
    return body["error"]  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b'{"input": NaN}', "not valid JSON"),
        (b'{"input": Infinity}', "not valid JSON"),
        (b'{"input": -Infinity}', "not valid JSON"),
        (b"not json", "not valid JSON"),
        (b'{"input": "cut', "not valid JSON"),
        (b'{"input": "\xff"}', "not valid JSON"),
        (b"[" * 1000 + b"]" * 1000, "recursion limit"),
        (b'{"a":' * 1000, "recursion limit"),
        (b"[" * 100_000 + b"]" * 100_000, "100000 arrays and objects"),
        (b"", "empty"),
    ],
)
def test_malformed_json(client: TestClient, content: bytes, says: str) -> None:
    answer = client.post("/v1/fill-mask", content=content, headers=JSON)

    assert answer.status_code == 400
    assert says in str(error_of(answer)["message"])


@pytest.mark.parametrize("body", [[], "text", 5, None])
def test_a_body_that_is_no_object(client: TestClient, body: object) -> None:
    answer = client.post("/v1/fill-mask", content=json.dumps(body), headers=JSON)

    assert answer.status_code == 422
    error_of(answer)


@pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "text/plain", "", "multipart/form-data"])
def test_wrong_content_type(client: TestClient, content_type: str) -> None:
    headers = {"content-type": content_type} if content_type else {}
    answer = client.post("/v1/fill-mask", content=b'{"input": "[MASK]"}', headers=headers)

    assert answer.status_code == 400
    assert "application/json" in str(error_of(answer)["message"])


@pytest.mark.parametrize("path", ["/v1/fill-mask", "/models/full/pipeline/fill-mask"])
@pytest.mark.parametrize("within", ["{}", '{{"parameters": {}}}', '{{"input": [{}]}}'])
def test_an_object_of_many_fields(client: TestClient, path: str, within: str) -> None:
    many = json.dumps({f"k{number}": 1 for number in range(1001)})
    answer = client.post(path, content=within.format(many), headers=JSON)

    assert answer.status_code == 400
    assert "1001 fields" in str(error_of(answer)["message"])


def test_infinity_as_a_large_number(client: TestClient) -> None:
    answer = client.post("/v1/fill-mask", content=b'{"input": "[MASK]", "top_k": 1e999}', headers=JSON)

    assert answer.status_code == 422
    assert error_of(answer)["param"] == "top_k"


@pytest.mark.parametrize("declared", ["200", "9" * 5000])
def test_a_body_over_its_declared_limit(make_client: Callable[..., TestClient], declared: str) -> None:
    client = make_client(max_body_bytes=100)

    answer = client.post("/v1/fill-mask", content=b"{}", headers={**JSON, "content-length": declared})

    assert answer.status_code == 413
    assert answer.headers["connection"] == "close"
    assert error_of(answer)["code"] == "too_large"


def test_a_body_over_the_limit_without_a_length(make_client: Callable[..., TestClient]) -> None:
    client = make_client(max_body_bytes=100)
    taken = []

    def chunks() -> Iterator[bytes]:
        for number in range(1000):
            taken.append(number)
            yield b" " * 10

    answer = client.post("/v1/fill-mask", content=chunks(), headers=JSON)

    assert answer.status_code == 413
    assert error_of(answer)["code"] == "too_large"


def test_unknown_paths_and_methods(client: TestClient) -> None:
    lost, wrong = client.get("/v2/nothing"), client.get("/v1/fill-mask")

    assert (lost.status_code, error_of(lost)["code"]) == (404, "not_found")
    assert (wrong.status_code, error_of(wrong)["code"]) == (405, "method_not_allowed")
    assert wrong.headers["allow"] == "OPTIONS, POST"


def test_an_internal_error_tells_nothing_and_is_logged(
    client: TestClient, fakes: dict[str, FakeObjective], caplog: pytest.LogCaptureFixture
) -> None:
    client.post("/v1/models/full/load")
    fakes["full"].errors.append(RuntimeError("secret detail"))

    answer = client.post("/v1/fill-mask", json={"input": MASK}, headers={"x-request-id": "mine-1"})

    assert answer.status_code == 500
    error = error_of(answer)
    assert (error["code"], error["type"]) == ("internal_error", "server_error")
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text
    assert "secret detail" in caplog.text
    assert client.post("/v1/fill-mask", json={"input": MASK}).status_code == 200


def test_an_exception_of_a_route_is_logged_with_its_request_id(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(client.app.state.services.store, "list", fail)  # type: ignore[attr-defined]

    with caplog.at_level(logging.ERROR):
        answer = client.get("/v1/models", headers={"x-request-id": "mine-2"})

    assert answer.status_code == 500
    assert "mine-2" in str(error_of(answer)["message"])
    assert "secret" not in answer.text
    assert "mine-2" in caplog.text
    assert "secret detail" in caplog.text


def test_busy_tells_when_to_come_back(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(count: int) -> None:
        raise Busy("too much is waiting", retry_after=7)

    monkeypatch.setattr(client.app.state.services.pool.batcher, "admit", refuse)  # type: ignore[attr-defined]

    answer = client.post("/v1/embeddings", json={"input": "a"})

    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "7"
    assert error_of(answer)["type"] == "rate_limit_error"


def test_more_inputs_than_may_ever_wait_are_too_many(make_client: Callable[..., TestClient]) -> None:
    client = make_client(max_queued_inputs=2)

    answer = client.post("/v1/embeddings", json={"input": ["a", "b", "c"]})

    assert (answer.status_code, error_of(answer)["code"]) == (413, "too_large")


def test_request_ids(client: TestClient) -> None:
    assert client.get("/health", headers={"x-request-id": "abc-1"}).headers["x-request-id"] == "abc-1"
    made = client.get("/health", headers={"x-request-id": "not\x7fharmless"}).headers["x-request-id"]
    assert made.isalnum()
    assert made != client.get("/health").headers["x-request-id"]


def test_what_a_client_sent_comes_back_bounded_and_harmless(client: TestClient) -> None:
    name = "a\x00b\r\nc" * 1000

    answer = client.post("/v1/fill-mask", json={"input": MASK, name: 1})

    assert answer.status_code == 422
    assert len(answer.content) < 10_000
    assert answer.headers["x-error-message"].isprintable()


def test_the_message_is_in_a_header_for_hugging_faces_client(client: TestClient) -> None:
    answer = client.post("/v1/fill-mask", json={"input": MASK, "model": "ünknown\n"})

    assert answer.headers["x-error-message"].isascii()
    assert "nknown" in answer.headers["x-error-message"]


class PanicException(BaseException):
    """As pyo3_runtime's, which is no Exception."""


@pytest.mark.parametrize(
    ("raised", "status", "code"),
    [(PanicException("out of bounds"), 500, "internal_error"), (asyncio.CancelledError(), 503, "not_ready")],
)
def test_what_is_no_exception_has_the_envelope_too(raised: BaseException, status: int, code: str) -> None:
    sent: list[dict[str, object]] = []

    async def app(scope: object, receive: object, send: object) -> None:
        raise raised

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    asyncio.run(RequestIdMiddleware(app)(scope, None, send))  # type: ignore[arg-type]
    assert sent[0]["status"] == status
    assert json.loads(sent[1]["body"])["error"]["code"] == code  # type: ignore[arg-type]
