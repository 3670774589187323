"""The OpenAPI document: FastAPI's, completed with descriptions, error responses, security, and streamed bodies."""

from collections.abc import Iterable
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, Field

from app.api.errors import FindShape, find_own
from app.api.route_scopes import find_scope
from app.api.shared_fields import SHARED_FIELDS

Json = dict[str, Any]
Responses = dict[int | str, dict[str, Any]]

_DESCRIPTIONS = {
    400: "The body is not valid JSON or has the wrong Content-Type, or an input is empty",
    401: "The server requires an API key, and the request has no valid one",
    403: "The key lacks the scope, the request comes from a page of another host, or its Host is unknown",
    404: "The model, job, file or other object does not exist",
    406: "The response has no media type that `Accept` allows",
    408: "The body did not arrive in time",
    409: "The state of the object does not allow the action",
    413: "The body, or a file in it, is larger than the server allows",
    415: "The body has a Content-Encoding, which is not supported",
    416: "The range starts after the end of the content",
    422: "A parameter or a field has an invalid value",
    424: "The model cannot do the task",
    429: "More work is waiting than the server admits; `Retry-After` has the seconds to wait",
    500: "An internal error; the server's log has it under the request's id",
    503: "The model, the job store or a device is not ready",
    507: "The disk is full",
}
_EVERYWHERE = (403, 500, 503)
_WITH_BODY = (400, 408, 413, 415, 422, 429)
_SCHEME = "ApiKey"


class ErrorDetail(BaseModel):
    message: str = Field(description="Human-readable message")
    type: str = Field(description="Type of the error, one of OpenAI's")
    code: str | None = Field(description="Machine-readable code of the error")
    param: str | None = Field(description="Name of the invalid field, if there is one")


class ErrorResponse(BaseModel):
    """The body of every error response."""

    error: ErrorDetail = Field(description="The error")


def errors(*statuses: int) -> Responses:
    """Returns the `responses` of a route with these errors. The errors common to all routes are added later."""
    return {status: {} for status in statuses}


def _file(media_type: str) -> Responses:
    body = {"content": {media_type: {"schema": {"type": "string", "format": "binary"}}}}
    return {200: body, 206: {"description": "The part in the `Range` header", **body}, **errors(416)}


# The responses of routes that send a file, or the part of it in a `Range` header.
FILE, PICTURE, TAR = _file("application/octet-stream"), _file("image/*"), _file("application/x-tar")


def install(app: FastAPI, find_shape: FindShape = find_own) -> None:
    """Makes `app.openapi` return the completed document. find_shape: finds the shape of a path's errors."""

    def openapi() -> Json:
        if app.openapi_schema is None:
            app.openapi_schema = _complete(
                get_openapi(
                    title=app.title,
                    version=app.version,
                    description=app.description,
                    routes=app.routes,
                    servers=app.servers,
                ),
                find_shape,
            )
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _complete(document: Json, find_shape: FindShape) -> Json:
    schemas = document["components"]["schemas"]
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    _add_schema(schemas, ErrorResponse)
    for schema in schemas.values():
        for name, field in schema.get("properties", {}).items():
            if name in SHARED_FIELDS:
                field.setdefault("description", SHARED_FIELDS[name])
    document["components"]["securitySchemes"] = {
        _SCHEME: {
            "type": "http",
            "scheme": "bearer",
            "description": "A key of `/v1/keys`, or one of CLOZE_API_KEYS, if there are any",
        }
    }
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            # `{}`: a server without keys requires none.
            needed = find_scope(method.upper(), path)
            operation["security"] = [] if needed == "open" else [{_SCHEME: []}, {}]
            if needed not in ("open", "any"):
                operation["x-scope"] = needed
            shape = find_shape(method.upper(), path)
            schema = shape.schema if shape else ErrorResponse
            _add_schema(schemas, schema)
            _describe_errors(operation, path, schema.__name__)
    return document


def _add_schema(schemas: Json, model: type[BaseModel]) -> None:
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(schema.pop("$defs", {}))
    schemas[model.__name__] = schema


def _describe_errors(operation: Json, path: str, schema: str) -> None:
    responses = operation["responses"]
    declared = [int(status) for status in responses if status.isdecimal() and int(status) in _DESCRIPTIONS]
    if "requestBody" in operation:
        declared += _WITH_BODY
    if operation.get("parameters"):
        declared.append(422)
    if "{" in path:
        declared.append(404)
    if operation["security"]:
        declared.append(401)
    for status in sorted({*declared, *_EVERYWHERE}):
        responses[str(status)] = {
            "description": _DESCRIPTIONS[status],
            "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}},
        }
    operation["responses"] = dict(sorted(responses.items()))


def ndjson_body(query: type[BaseModel], line: Iterable[Json]) -> Json:
    """Returns the `openapi_extra` of a route that also accepts NDJSON: body, response, and options in the query."""
    options = query.model_json_schema(ref_template="#/components/schemas/{model}")["properties"]
    description = "One line per input: a string, or an object with `input` and optionally `id`"
    inputs = {"type": "object", "required": ["input"], "properties": {"input": {"anyOf": list(line)}, "id": {}}}
    lines = {"schema": {"anyOf": [{"type": "string"}, inputs], "description": description}}
    answer = "One line per input, in order: `index`, the line's `id` if it has one, and the result or an `error`"
    return {
        "requestBody": {"content": {"application/x-ndjson": lines}},
        "responses": {
            "200": {"content": {"application/x-ndjson": {"schema": {"type": "object", "description": answer}}}}
        },
        "parameters": [
            {"name": name, "in": "query", "required": False, "schema": schema, "description": "Option of a stream"}
            for name, schema in options.items()
        ],
    }
