"""The parts of Hugging Face's dialect that all its pipelines share."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Annotated, Any

import orjson
from pydantic import Field

from app.api.schemas.common import JsonBody
from app.inference.client import Client
from app.inference.service import OpenModel

Json = dict[str, Any]
Pipeline = Callable[[OpenModel, Json, Client], Awaitable[bytes]]


class HubBody(JsonBody):
    # `options` (wait_for_model, use_cache) steers the hub's own service: accepted, and without effect here.
    options: Annotated[Json, Field(max_length=100)] | None = None


def lower(value: object) -> object:
    """Returns a string in lower case, since clients write names of options in either; other values stay."""
    return value.lower() if isinstance(value, str) else value


def write_json(answers: Iterable[object], *, alone: bool = False) -> bytes:
    """alone: the only one, without a list around it."""
    # Each by itself: while orjson writes one, no other thread runs.
    parts = [orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY) for answer in answers]
    return parts[0] if alone else b"[" + b",".join(parts) + b"]"
