import json
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from app.commands.client import ApiClient, NoServer, ServerUnreachable, default_url
from app.errors import AppError, InvalidValue
from app.settings import Settings

Handler = Callable[[httpx.Request], httpx.Response]


def client(handler: Handler, api_key: str | None = None) -> ApiClient:
    return ApiClient("http://cloze.test/", api_key, transport=httpx.MockTransport(handler))


def answering(status: int, **kwargs: object) -> ApiClient:
    return client(lambda request: httpx.Response(status, **kwargs))  # type: ignore[arg-type]


def test_get_sends_what_is_set_and_the_key() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        assert request.url == "http://cloze.test/v1/x?limit=3"
        assert request.headers["authorization"] == "Bearer secret"
        return httpx.Response(200, json=[1])

    assert client(handler, "secret").get("/v1/x", limit=3, after=None) == [1]


def test_a_key_may_have_any_letters() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json=dict(request.headers.raw)[b"authorization"].decode())

    assert client(handler, "schlüssel").get("/v1/x") == "Bearer schlüssel"


def test_post_sends_json_and_no_key_unless_given() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        assert "authorization" not in request.headers
        return httpx.Response(200, json=json.loads(request.content))

    assert client(handler).post("/v1/x", {"a": "ä"}) == {"a": "ä"}


def test_upload_streams_a_file(tmp_path: Path) -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        body = request.read()
        assert b'filename="data.txt"' in body and b"some text" in body and b"fine-tune" in body
        return httpx.Response(200, json={"id": "file-1"})

    (tmp_path / "data.txt").write_text("some text")
    assert client(handler).upload(tmp_path / "data.txt") == "file-1"


def test_what_cannot_be_sent_is_told() -> None:
    with pytest.raises(InvalidValue, match="cannot be sent"):
        answering(200).post("/v1/x", {"a": float("inf")})
    with pytest.raises(InvalidValue, match="cannot be sent"):
        answering(200).post("/v1/x", {"a": "caf\udce9"})
    with pytest.raises(InvalidValue, match="cannot be sent"):
        answering(200).get("/v1/x/1\r\n")
    with pytest.raises(InvalidValue, match="API key"):
        client(lambda request: httpx.Response(200), "schl\udcfcssel")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match=r"none\.txt: No such file or directory"):
        answering(200).upload(tmp_path / "none.txt")
    with pytest.raises(InvalidValue, match="Is a directory"):
        answering(200).upload(tmp_path)


def test_the_server_s_message_is_the_error() -> None:
    with pytest.raises(AppError, match=r"^the model 'x' does not exist$"):
        answering(404, json={"error": {"message": "the model 'x' does not exist"}}).get("/v1/models/x")
    with pytest.raises(AppError, match=r"^wrong key; pass --api-key or set CLOZE_API_KEY$"):
        answering(401, json={"error": {"message": "wrong key"}}).get("/v1/models")


@pytest.mark.parametrize("answer", [{"text": "<html>"}, {"json": {"detail": "Not Found"}}, {"json": ["error"]}])
def test_another_kind_of_server_is_told_apart(answer: dict[str, object]) -> None:
    with pytest.raises(AppError, match=r"http://cloze.test/v1/models answered 404; is this a Cloze server\?"):
        answering(404, **answer).get("/v1/models")


def test_nobody_there() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    with pytest.raises(NoServer, match=r"^no server at http://cloze.test; start one with: make serve$"):
        client(handler).get("/health")


def test_a_broken_connection_is_no_missing_server() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("timed out")

    with pytest.raises(ServerUnreachable, match="broke: timed out") as caught:
        client(handler).get("/health")
    assert not isinstance(caught.value, NoServer)


@pytest.mark.parametrize("url", ["localhost", "ftp://x", "http://x:port"])
def test_what_is_no_url(url: str) -> None:
    with pytest.raises(InvalidValue, match="is not a URL"):
        ApiClient(url).get("/health")


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:9"),
        ("0.0.0.0", "http://127.0.0.1:9"),
        ("::", "http://[::1]:9"),
        ("fe80::2", "http://[fe80::2]:9"),
    ],
)
def test_the_default_url_follows_the_settings(host: str, url: str) -> None:
    assert default_url(Settings(host=host, port=9)) == url
