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
            content_type = request.headers.get("content-type", "")
            media_type = content_type.partition(";")[0].strip().lower()
            if media_type != "application/json":
                found = f"it is {media_type!r}" if media_type else "it is missing"
                raise BadRequest(f"the Content-Type must be application/json; {found}")
            if not body:
                raise EmptyInput("the body is empty; a JSON object was expected")
            request._json = parse_json(body)  # where starlette keeps what `Request.json()` returns
            return await handler(request)

        return strict_handler
