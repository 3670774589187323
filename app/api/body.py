"""JSON bodies, read strictly: no NaN, no Infinity, bounded nesting, the right content type."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic_core import from_json

from app.errors import BadRequest, EmptyInput


def parse_json(body: bytes) -> Any:
    """The value of a JSON text; nesting ends at 200 levels. Raises BadRequest."""
    try:
        return from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise BadRequest(f"the body is not valid JSON: {error}") from error


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
