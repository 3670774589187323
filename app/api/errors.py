"""Error responses: `{"error": {"message", "type", "code", "param"}}`, or in the shape of another service's API.

OpenAI's clients read the body. Hugging Face's clients read `X-Error-Message` and `x-request-id`, which the request-id
middleware adds.
"""

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response
from starlette.types import Scope

from app.api.middleware.methods import allowed_methods
from app.api.wire.ranges import RangeNotSatisfiable
from app.errors import (
    AppError,
    BadRequest,
    Busy,
    NotFound,
    NotReady,
    RequestTimeout,
    Unauthorized,
    UnsupportedMediaType,
)
from app.jobs.connection import StorageError
from app.system.disk_space import full_disk
from app.validation import MAX_ECHO, describe

CLIENT_CLOSED_REQUEST = 499  # nginx's status for a client that has disconnected; only logs and metrics see it

_MAX_MESSAGE = 4000  # characters

_log = logging.getLogger(__name__)


class MethodNotAllowed(AppError):
    status = 405
    code = "method_not_allowed"
    type = "invalid_request_error"


@dataclass(frozen=True)
class ErrorShape:
    """The errors of another service's API.

    schema: the body. write: returns the status and the body of an error.
    """

    schema: type[BaseModel]
    write: Callable[[AppError], tuple[int, BaseModel]]


FindShape = Callable[[str, str], ErrorShape | None]  # of a method and a path; None: Cloze's own


def find_own(method: str, path: str) -> None:
    """Finds Cloze's own shape for all paths."""


def error_response(scope: Scope, error: AppError, headers: Mapping[str, str] | None = None) -> Response:
    """Makes the response of an error. Stores the error's code in the scope for the metrics."""
    scope.setdefault("state", {})["error_code"] = error.code
    status, body = _write(scope, error)
    response = JSONResponse(body, status, dict(headers or {}))
    response.headers["x-error-message"] = _header_safe(error_message(error))
    if isinstance(error, Busy):
        response.headers["retry-after"] = str(error.retry_after)
    if isinstance(error, RequestTimeout):
        response.headers["connection"] = "close"  # the rest of the request may never come
    if isinstance(error, UnsupportedMediaType):
        response.headers["accept-encoding"] = "identity"
    if isinstance(error, Unauthorized):
        response.headers["www-authenticate"] = "Bearer"
    if isinstance(error, RangeNotSatisfiable):
        response.headers["content-range"] = f"bytes */{error.size}"
    return response


def _write(scope: Scope, error: AppError) -> tuple[int, dict[str, object]]:
    """Returns the status and the body of an error in the shape of the path."""
    shape = None
    if "app" in scope and "method" in scope:  # absent: before the application, and in a handshake of a websocket
        find: FindShape = scope["app"].state.find_shape
        shape = find(scope["method"], scope["path"])
    if shape is None:
        return error.status, {"error": error_object(error)}
    status, body = shape.write(error)
    return status, body.model_dump()


def error_object(error: AppError) -> dict[str, str | None]:
    message, param = error_message(error), error.param
    if len(message) > _MAX_MESSAGE:  # it quotes the request
        message = f"{message[:_MAX_MESSAGE]} …"
    return {"message": message, "type": error.type, "code": error.code, "param": param and param[:MAX_ECHO]}


def error_message(error: AppError) -> str:
    """Returns the error's message, with the index of the invalid input if the request has several."""
    if error.index is None:
        return error.message
    name = f"`{error.param or 'input'}` {error.index}"
    subject = "the input "
    if error.message.startswith(subject):
        return f"{name} {error.message.removeprefix(subject)}"
    return f"{name}: {error.message}"


def internal_error(scope: Scope) -> Response:
    """Makes a 500 response that reveals only the request id to search for in the log."""
    message = f"internal error; the server's log has it under request id {_request_id(scope)}"
    return error_response(scope, AppError(message))


def install(app: FastAPI, find_shape: FindShape = find_own) -> None:
    """Installs handlers for the exceptions that routes raise. The request-id middleware catches all others.

    find_shape: finds the shape of a path's errors.
    """
    app.state.find_shape = find_shape

    @app.exception_handler(AppError)
    async def app_error(request: Request, error: AppError) -> Response:
        if error.status == HTTPStatus.INTERNAL_SERVER_ERROR:
            _log.error("%s %s: %s [%s]", request.method, request.url.path, error.message, _request_id(request.scope))
        return error_response(request.scope, error)

    @app.exception_handler(RequestValidationError)
    async def validation_error(request: Request, error: RequestValidationError) -> Response:
        first = dict(error.errors()[0])
        first["loc"] = first["loc"][1:]  # without "body", "query" or "path"
        return error_response(request.scope, describe(first))

    @app.exception_handler(HTTPException)
    async def http_exception(request: Request, error: HTTPException) -> Response:
        path = request.url.path
        if error.status_code == HTTPStatus.NOT_FOUND:
            known: AppError = NotFound(f"the path {path} does not exist; /docs lists all paths")
        elif error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            allowed = ", ".join(allowed_methods(request.app.routes, request.scope))
            if request.method == "OPTIONS":
                return Response(status_code=HTTPStatus.NO_CONTENT, headers={"allow": allowed})
            known = MethodNotAllowed(f"{path} does not support {request.method}; it supports {allowed}")
            return error_response(request.scope, known, {"allow": allowed})
        else:
            known = BadRequest(str(error.detail))
        return error_response(request.scope, known, error.headers)

    @app.exception_handler(ClientDisconnect)
    async def client_left(request: Request, error: ClientDisconnect) -> Response:
        return Response(status_code=CLIENT_CLOSED_REQUEST)

    _install_storage(app)


def _install_storage(app: FastAPI) -> None:
    """Installs handlers for the errors of an unavailable Redis and of a full disk."""

    @app.exception_handler(StorageError)
    async def storage_error(request: Request, error: StorageError) -> Response:
        _log.warning("%s %s: %s [%s]", request.method, request.url.path, error, _request_id(request.scope))
        return error_response(request.scope, NotReady("files and jobs are not available: Redis does not answer"))

    @app.exception_handler(OSError)
    async def disk_error(request: Request, error: OSError) -> Response:
        if (known := full_disk(error)) is None:
            raise error
        _log.error("%s %s: %s [%s]", request.method, request.url.path, error, _request_id(request.scope))
        return error_response(request.scope, known)


def _request_id(scope: Scope) -> str:
    return str(scope.get("state", {}).get("request_id", "unknown"))


def _header_safe(message: str) -> str:
    return re.sub(r"[^ -~]", "?", " ".join(message.split()))[:MAX_ECHO]
