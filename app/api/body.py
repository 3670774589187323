"""JSON bodies, read strictly: no NaN, no Infinity, bounded nesting and objects, the right content type."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic_core import from_json

from app.errors import BadRequest, EmptyInput

MAX_FIELDS = 1000  # of an object: pydantic lists every unknown one, for seconds if there are a million


def parse_json(body: bytes) -> Any:
    """The value of a JSON text; nesting ends at 200 levels. Raises BadRequest."""
    try:
        value = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise BadRequest(f"the body is not valid JSON: {error}") from error
    _check_objects(value)
    return value


def _check_objects(value: Any) -> None:
    """Of objects within arrays within arrays, none is looked at: no schema goes into them."""
    if isinstance(value, dict):
        if len(value) > MAX_FIELDS:
            raise BadRequest(f"an object of the body has {len(value)} fields; it may have {MAX_FIELDS}")
        for each in value.values():
            _check_objects(each)
    elif isinstance(value, list):
        for each in value:
            if isinstance(each, dict):
                _check_objects(each)


def media_type(request: Request) -> str:
    """Of the body, in lower case and without parameters; empty where the client names none."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


class StrictJsonRoute(APIRoute):
    """Parses the body itself, before FastAPI does it leniently."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()
        if self.body_field is None:
            return handler

        optional = not self.body_field.field_info.is_required()

        async def strict_handler(request: Request) -> Response:
            body = await request.body()
            if not body and optional:  # whatever type the client gives to nothing
                return await handler(request)
            given = media_type(request)
            if given != "application/json":
                found = f"it is {given!r}" if given else "it is missing"
                raise BadRequest(f"the Content-Type must be application/json; {found}")
            if not body:
                raise EmptyInput("the body is empty; a JSON object was expected")
            request._json = parse_json(body)  # where starlette keeps what `Request.json()` returns
            return await handler(request)

        return strict_handler
