"""The OpenAPI document: FastAPI's, with the errors that routes answer, security, and bodies that it cannot see."""

from collections.abc import Iterable
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, Field

from app.api.middleware.api_keys import is_open

Json = dict[str, Any]
Responses = dict[int | str, dict[str, Any]]

_DESCRIPTIONS = {
    400: "The body is not valid JSON, is of another Content-Type, or an input is empty",
    401: "The server asks for an API key, and none of its keys was sent",
    403: "The request comes from another web page, or names a host that this server does not go by",
    404: "There is no such model, job, file or other object",
    406: "The answer has no form that `Accept` allows",
    408: "The body did not arrive in time",
    409: "The state of the object does not allow it",
    413: "The body, or a file in it, is larger than the server allows",
    415: "The body has a Content-Encoding, which is not decoded",
    416: "The range lies beyond the end",
    422: "A parameter or a field has a value that is not possible",
    429: "More work is waiting than the server admits; `Retry-After` says when to try again",
    500: "An error of the server; its log has it under the request's id",
    503: "The model, the job store or a device is not ready",
    507: "The disk is full",
}
_EVERYWHERE = (403, 500, 503)
_WITH_BODY = (400, 408, 413, 415, 422, 429)
_SCHEME = "ApiKey"


class ErrorDetail(BaseModel):
    message: str = Field(description="Message for people")
    type: str = Field(description="The kind of the error, one of OpenAI's")
    code: str | None = Field(description="The error, for programs")
    param: str | None = Field(description="The field at fault, if there is one")


class ErrorResponse(BaseModel):
    """Every answer that is not a success."""

    error: ErrorDetail


def errors(*statuses: int) -> Responses:
    """The `responses` of a route that can answer with these errors, beside those that every such route has."""
    return {status: {} for status in statuses}


def _file(media_type: str) -> Responses:
    body = {"content": {media_type: {"schema": {"type": "string", "format": "binary"}}}}
    return {200: body, 206: {"description": "The part that `Range` asks for", **body}, **errors(416)}


# Of a route that sends a file, or the part of it that a `Range` header asks for.
FILE, PICTURE = _file("application/octet-stream"), _file("image/*")


def install(app: FastAPI) -> None:
    """Makes `app.openapi` give the completed document."""

    def openapi() -> Json:
        if app.openapi_schema is None:
            app.openapi_schema = _complete(
                get_openapi(
                    title=app.title,
                    version=app.version,
                    description=app.description,
                    routes=app.routes,
                    servers=app.servers,
                )
            )
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _complete(document: Json) -> Json:
    schemas = document["components"]["schemas"]
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    error = ErrorResponse.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas |= error.pop("$defs")
    schemas["ErrorResponse"] = error
    document["components"]["securitySchemes"] = {
        _SCHEME: {"type": "http", "scheme": "bearer", "description": "One of CLOZE_API_KEYS, where any are set"}
    }
    for path, operations in document["paths"].items():
        for operation in operations.values():
            # `{}`: a server without keys asks for none.
            operation["security"] = [] if is_open(path) else [{_SCHEME: []}, {}]
            _describe_errors(operation, path)
    return document


def _describe_errors(operation: Json, path: str) -> None:
    responses = operation["responses"]
    declared = [int(status) for status in responses if status.isdecimal() and int(status) in _DESCRIPTIONS]
    if "requestBody" in operation:
        declared += _WITH_BODY
    if operation.get("parameters"):
        declared.append(422)
    if "{" in path:
        declared.append(404)
    if not is_open(path):
        declared.append(401)
    for status in sorted({*declared, *_EVERYWHERE}):
        responses[str(status)] = {
            "description": _DESCRIPTIONS[status],
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorResponse"}}},
        }
    operation["responses"] = dict(sorted(responses.items()))


def ndjson_body(query: type[BaseModel], line: Iterable[Json]) -> Json:
    """The `openapi_extra` of a route that also takes a stream: its body, its answer, and the options in the query."""
    options = query.model_json_schema(ref_template="#/components/schemas/{model}")["properties"]
    description = "One line an input: a string, or an object with `input` and perhaps `id`"
    inputs = {"type": "object", "required": ["input"], "properties": {"input": {"anyOf": list(line)}, "id": {}}}
    lines = {"schema": {"anyOf": [{"type": "string"}, inputs], "description": description}}
    answer = "One line an input, in order: `index`, `id` where one was given, and the result or an `error`"
    return {
        "requestBody": {"content": {"application/x-ndjson": lines}},
        "responses": {
            "200": {"content": {"application/x-ndjson": {"schema": {"type": "object", "description": answer}}}}
        },
        "parameters": [
            {"name": name, "in": "query", "required": False, "schema": schema, "description": "Of a stream"}
            for name, schema in options.items()
        ],
    }
