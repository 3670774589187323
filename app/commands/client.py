"""A client of the HTTP API for the commands."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any, Self

import httpx
import typer

from app.commands.sse import Message, read_messages
from app.errors import AppError, InvalidValue, NotReady
from app.settings import Settings

Url = Annotated[
    str | None,
    typer.Option(
        envvar="CLOZE_URL", show_default=False, help="URL of the server; by default from CLOZE_HOST and CLOZE_PORT."
    ),
]
ApiKey = Annotated[
    str | None, typer.Option(envvar="CLOZE_API_KEY", show_default=False, help="API key, if the server requires one.")
]

_TIMEOUT = httpx.Timeout(300.0, connect=5.0)  # seconds; the first response may wait until a model is loaded
_STREAM_TIMEOUT = httpx.Timeout(60.0, connect=5.0)  # seconds; four times the interval of a stream's heartbeats


class ServerUnreachable(NotReady):
    """The connection failed."""


class NoServer(ServerUnreachable):
    """No server listens at the URL."""


class ApiClient:
    """A client whose methods return parsed JSON. It raises an error response as an AppError with its message."""

    def __init__(
        self, url: str | None = None, api_key: str | None = None, *, transport: httpx.BaseTransport | None = None
    ) -> None:
        self.url = (url or default_url(Settings())).rstrip("/")
        try:
            headers = {b"authorization": f"Bearer {api_key}".encode()} if api_key else {}
            self._http = httpx.Client(base_url=self.url, headers=headers, timeout=_TIMEOUT, transport=transport)
        except httpx.InvalidURL as error:
            raise InvalidValue(f"{self.url!r} is not a URL: {error}") from error
        except UnicodeEncodeError as error:
            raise InvalidValue(f"the API key is not valid text: {error.reason}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def get(self, path: str, **params: Any) -> Any:
        return self._send("GET", path, params={key: value for key, value in params.items() if value is not None})

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        return self._send("POST", path, json=body)

    def delete(self, path: str) -> Any:
        return self._send("DELETE", path)

    def text(self, path: str, **params: Any) -> str:
        """Gets a response that is plain text."""
        response = self._request("GET", path, params={key: value for key, value in params.items() if value is not None})
        return response.text if response.is_success else str(read_answer(response))

    def upload(self, path: Path) -> str:
        """Uploads a file as a stream. Returns its id."""
        try:
            content = path.open("rb")
        except OSError as error:
            raise InvalidValue(f"{path}: {os.strerror(error.errno or 0)}") from error
        with content:
            stored = self._send(
                "POST", "/v1/files", files={"file": (path.name, content)}, data={"purpose": "fine-tune"}
            )
        return str(stored["id"])

    def stream(self, path: str, last_id: str | None = None) -> Iterator[Message]:
        """Yields server-sent events after the one with id `last_id`. Raises ServerUnreachable when they break off."""
        headers = {"accept": "text/event-stream", **({"last-event-id": last_id} if last_id else {})}
        with (
            self._translate_errors(),
            self._http.stream("GET", path, headers=headers, timeout=_STREAM_TIMEOUT) as response,
        ):
            if response.status_code == httpx.codes.OK:
                yield from read_messages(response.iter_lines())
                return
            response.read()
            if response.status_code == httpx.codes.SERVICE_UNAVAILABLE:
                raise ServerUnreachable(f"{self.url} is not ready")
            read_answer(response)

    def _send(self, method: str, path: str, **kwargs: Any) -> Any:
        return read_answer(self._request(method, path, **kwargs))

    def _request(self, method: str, path: str, **kwargs: Any) -> httpx.Response:
        with self._translate_errors():
            return self._http.request(method, path, **kwargs)

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        """Converts httpx's errors to AppErrors."""
        try:
            yield
        except httpx.UnsupportedProtocol as error:
            raise InvalidValue(f"{self.url!r} is not a URL: {error}") from error
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise NoServer(f"no server at {self.url}; start one with: make serve") from error
        except httpx.TransportError as error:
            raise ServerUnreachable(f"the connection to {self.url} broke: {error or type(error).__name__}") from error
        except (httpx.InvalidURL, ValueError) as error:  # ValueError: an infinite number or invalid text in the body
            raise InvalidValue(f"this cannot be sent: {error}") from error


def default_url(settings: Settings) -> str:
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104 - not bound here
    return f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"


def read_answer(response: httpx.Response) -> Any:
    """Parses the JSON of a successful response. Raises AppError for any other response."""
    try:
        body = response.json()
    except ValueError:
        body = None
    if response.is_success and body is not None:
        return body
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict) or not error.get("message"):
        raise AppError(f"{response.url} answered {response.status_code}; is this a Cloze server?")
    hint = "; pass --api-key or set CLOZE_API_KEY" if response.status_code == httpx.codes.UNAUTHORIZED else ""
    raise AppError(f"{error['message']}{hint}")
