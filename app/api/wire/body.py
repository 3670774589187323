"""JSON bodies, read strictly: no NaN, no Infinity, bounded nesting and sizes, the right content type."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic_core import from_json

from app.api.wire.content_type import JSON, media_type
from app.api.wire.json_text import count, count_outside_strings, replace_lone_surrogates
from app.errors import BadRequest, EmptyInput

MAX_FIELDS = 1000  # of an object: pydantic lists every unknown one, for seconds if there are a million
MAX_VALUES = 1 << 20  # of a body: more would hold the event loop. 2,048 inputs of 512 token ids are as many
MAX_CONTAINERS = 1 << 14  # arrays and objects of a body: an input has three at most

_SMALL = 1 << 16  # bytes of a body that is parsed sooner than a thread is asked to
_BOM = b"\xef\xbb\xbf"  # which RFC 8259 lets a reader ignore


async def read_json(body: bytes, what: str = "the body") -> Any:
    """As `parse_json`, in a thread where it takes long."""
    if len(body) <= _SMALL:
        return parse_json(body, what)
    return await asyncio.to_thread(parse_json, body, what)


def parse_json(body: bytes, what: str = "the body") -> Any:
    """The value of a JSON text; nesting ends at 200 levels. Raises BadRequest, with `what` as its subject.

    Half of a surrogate pair is read as U+FFFD.
    """
    body = body.removeprefix(_BOM)
    _check_size(body, what)
    try:
        value = _parsed(body)
    except ValueError as error:
        raise BadRequest(f"{what} is not valid JSON: {error}") from error
    _check_objects(value, what)
    return value


def _parsed(body: bytes) -> Any:
    try:
        return from_json(body, allow_inf_nan=False)
    except ValueError:
        repaired = replace_lone_surrogates(body)
        if repaired is body:
            raise
        return from_json(repaired, allow_inf_nan=False)


def _check_size(body: bytes, what: str) -> None:
    """Raises BadRequest for a body that would become too many Python objects."""
    if len(body) <= MAX_CONTAINERS:
        return
    if count(body, b"[{") <= MAX_CONTAINERS and count(body, b",") < MAX_VALUES:
        return  # even if none of them is within a string
    arrays, objects, commas = count_outside_strings(body, b"[{,")
    if arrays + objects > MAX_CONTAINERS:
        raise BadRequest(f"{what} holds {arrays + objects} arrays and objects; it may hold {MAX_CONTAINERS}")
    if commas >= MAX_VALUES:
        raise BadRequest(f"{what} holds {commas + 1} values or more; it may hold {MAX_VALUES}")


def _check_objects(value: Any, what: str) -> None:
    """Raises BadRequest for an object of too many fields, wherever it is."""
    if isinstance(value, dict):
        if len(value) > MAX_FIELDS:
            raise BadRequest(f"an object of {what} has {len(value)} fields; it may have {MAX_FIELDS}")
        for each in value.values():
            _check_objects(each, what)
    elif isinstance(value, list):
        for each in value:
            if isinstance(each, dict | list):
                _check_objects(each, what)


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
            given = media_type(request.headers)
            if given != JSON:
                found = f"it is {given!r}" if given else "it is missing"
                raise BadRequest(f"the Content-Type must be application/json; {found}")
            if not body:
                raise EmptyInput("the body is empty; a JSON object was expected")
            request._json = await read_json(body)  # where starlette keeps what `Request.json()` returns
            self.check(request, request._json)
            return await handler(request)

        return strict_handler

    def check(self, request: Request, value: Any) -> None:
        """Raises AppError for a value that should not even be validated. Routes of a kind override it."""
