"""Strict JSON bodies: no NaN or Infinity, limited nesting and sizes, and the right content type."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic_core import from_json

from app.api.wire.content_type import JSON, media_type
from app.api.wire.json_text import count, count_outside_strings, replace_lone_surrogates
from app.errors import BadRequest, EmptyInput

MAX_FIELDS = 1000  # of an object; pydantic lists every unknown field, which takes seconds for a million
MAX_VALUES = 1 << 20  # of a body; more would block the event loop. Enough for 2,048 inputs of 512 token ids
MAX_CONTAINERS = 1 << 14  # arrays and objects of a body; an input has at most three

_SMALL = 1 << 16  # bytes; parsing a smaller body is faster than handing it to a thread
_BOM = b"\xef\xbb\xbf"  # RFC 8259 allows a reader to ignore it


async def read_json(body: bytes, what: str = "the body") -> Any:
    """Parses a JSON text with `parse_json`; a large one in a thread."""
    if len(body) <= _SMALL:
        return parse_json(body, what)
    return await asyncio.to_thread(parse_json, body, what)


def parse_json(body: bytes, what: str = "the body") -> Any:
    """Parses a JSON text of at most 200 nested levels. Half of a surrogate pair becomes U+FFFD.

    Raises BadRequest with `what` as the subject of its message.
    """
    body = body.removeprefix(_BOM)
    _check_size(body, what)
    try:
        value = _parse_lenient(body)
    except ValueError as error:
        raise BadRequest(f"{what} is not valid JSON: {error}") from error
    _check_objects(value, what)
    return value


def _parse_lenient(body: bytes) -> Any:
    """Parses a JSON text, and replaces lone surrogates if it is invalid otherwise."""
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
        return  # an upper bound, which also counts characters in strings
    arrays, objects, commas = count_outside_strings(body, b"[{,")
    if arrays + objects > MAX_CONTAINERS:
        raise BadRequest(f"{what} has {arrays + objects} arrays and objects; the limit is {MAX_CONTAINERS}")
    if commas >= MAX_VALUES:
        raise BadRequest(f"{what} has at least {commas + 1} values; the limit is {MAX_VALUES}")


def _check_objects(value: Any, what: str) -> None:
    """Raises BadRequest for an object with too many fields, at any depth."""
    if isinstance(value, dict):
        if len(value) > MAX_FIELDS:
            raise BadRequest(f"an object in {what} has {len(value)} fields; the limit is {MAX_FIELDS}")
        for each in value.values():
            _check_objects(each, what)
    elif isinstance(value, list):
        for each in value:
            if isinstance(each, dict | list):
                _check_objects(each, what)


class StrictJsonRoute(APIRoute):
    """A route that parses its JSON body strictly, before FastAPI parses it leniently."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()
        if self.body_field is None:
            return handler

        optional = not self.body_field.field_info.is_required()

        async def strict_handler(request: Request) -> Response:
            body = await request.body()
            if not body and optional:  # the Content-Type of an empty body does not matter
                return await handler(request)
            given = media_type(request.headers)
            if given != JSON:
                found = f"it is {given!r}" if given else "it is missing"
                raise BadRequest(f"the Content-Type must be application/json; {found}")
            if not body:
                raise EmptyInput("the body is empty; expected a JSON object")
            request._json = await read_json(body)  # the cache of starlette's `Request.json()`
            self.check(request, request._json)
            return await handler(request)

        return strict_handler

    def check(self, request: Request, value: Any) -> None:
        """Checks the parsed body before validation. Subclasses override it. Raises AppError."""
