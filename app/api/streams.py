"""Streams of inputs for one task: each line is an input, and is answered by a line with its result or its error.

A line at fault is answered with its error and ends nothing.
"""

import asyncio
import logging
import math
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import orjson
from fastapi import Request, Response
from pydantic import BaseModel

from app.api.errors import error_object
from app.api.inference_route import InferenceRoute
from app.api.wire.body import read_json
from app.api.wire.content_type import NDJSON, media_type
from app.api.wire.ndjson import LinesResponse, answer_lines
from app.errors import AppError, Busy, InvalidValue, TooLarge
from app.inference.answer_size import MAX_LINE
from app.inference.service import Inference, OpenModel
from app.serving.batches import Flow
from app.types import Task
from app.validation import validate

_CHUNK = 32  # lines that are submitted together, at most
_LARGE_CHUNK = 4  # lines whose answers are large: 64 MiB of them may wait for a client that does not read
_CHUNKS = 8  # in flight: enough to fill a device's batches, few enough to leave the queue to others
_SHARE = 8  # a stream takes at most one permit in so many
_LONGEST_WAIT = 1.0  # seconds until a full queue is asked again

_INTEGERS = range(-(2**63), 2**64)  # that an answer can hold

_log = logging.getLogger(__name__)


class StreamOptions(Protocol):
    """The options of a stream, and what they make of a line.

    large: writing an answer takes a millisecond or more.
    """

    task: ClassVar[Task]

    @property
    def model(self) -> str | None: ...

    @property
    def large(self) -> bool: ...

    def to_input(self, value: Any) -> Any:
        """Returns a line's input. Raises AppError."""

    def to_item(self, given: Any) -> Any:
        """Returns an item of the task. given: an input whose media are fetched."""

    def from_result(self, result: Any) -> dict[str, Any]:
        """Returns the fields of a line's answer."""


def streaming(options: type[BaseModel]) -> type[InferenceRoute]:
    """A route class whose routes answer bodies of NDJSON as streams. options: the parameters of the query."""

    class Route(InferenceRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            plain = super().get_route_handler()

            async def either(request: Request) -> Response:
                if media_type(request.headers) != NDJSON:
                    return await plain(request)
                inference: Inference = request.app.state.services.inference
                stream = await open_stream(inference, validate(options, dict(request.query_params)))  # type: ignore[arg-type]
                return LinesResponse(stream.answers(request.receive))

            return either

    return Route


async def open_stream(inference: Inference, options: StreamOptions) -> "LineStream":
    """Raises AppError as long as nothing is sent: for wrong options, and for a model that cannot do the task."""
    model = await inference.open(options.model)
    model.require(options.task)
    model.check(options.task, [options.to_item("")])  # the options alone
    return LineStream(inference, model.id, options)


@dataclass(frozen=True)
class _Line:
    index: int
    id: Any  # None: the client gave none
    asked: Any  # an item, or the AppError that the line is


class LineStream:
    """model: `name@version`. A version that is published meanwhile answers the next stream."""

    def __init__(self, inference: Inference, model: str, options: StreamOptions) -> None:
        self._inference, self._model, self._options = inference, model, options
        self._flow = Flow()

    def answers(self, receive: Any) -> Any:
        """Yields the answers to the lines that arrive, some lines at a time. Raises ClientDisconnect."""
        limits = self._inference.limits
        share = max(1, limits.queued_inputs // _SHARE)
        chunk = min(_LARGE_CHUNK if self._options.large else _CHUNK, share)
        at_once = min(_CHUNKS, max(1, share // chunk))
        return answer_lines(receive, self._answer, max_line=limits.line_bytes, chunk=chunk, chunks_at_once=at_once)

    async def _answer(self, raws: Sequence[bytes | None], first: int) -> bytes:
        lines = await self._read(raws, first)
        items = [line.asked for line in lines if not isinstance(line.asked, AppError)]
        results = iter(await self._submit(items))
        pairs = [(line, line.asked if isinstance(line.asked, AppError) else next(results)) for line in lines]
        if self._options.large:
            return await asyncio.to_thread(self._write, pairs)
        return self._write(pairs)

    def _write(self, pairs: Sequence[tuple[_Line, Any]]) -> bytes:
        return b"".join(self._write_line(line, result) for line, result in pairs)

    def _write_line(self, line: _Line, result: Any) -> bytes:
        head = {"index": line.index} | ({} if line.id is None else {"id": line.id})
        if not isinstance(result, AppError):
            try:
                return _json(head | self._options.from_result(result))
            except Exception as error:
                result = _known(error)
        return _json(head | {"error": error_object(result)})

    async def _read(self, raws: Sequence[bytes | None], first: int) -> list[_Line]:
        model: OpenModel | AppError
        try:
            model = await self._inference.open(self._model)
        except Exception as error:
            model = _known(error)
        return [await self._read_line(raw, first + place, model) for place, raw in enumerate(raws)]

    async def _read_line(self, raw: bytes | None, index: int, model: OpenModel | AppError) -> _Line:
        identifier = None
        try:
            if raw is None:
                limit = self._inference.limits.line_bytes
                raise TooLarge(f"the line is longer than the {limit} bytes that are allowed")
            value = await read_json(raw, "the line")
            if isinstance(value, dict):
                identifier = _identifier(value.get("id"))
                value = _input_of(value)
            elif not isinstance(value, str):
                raise InvalidValue("a line should be a string or an object with `input` and perhaps `id`")
            return _Line(index, identifier, await self._item(value, model))
        except Exception as error:
            return _Line(index, identifier, _known(error))

    async def _item(self, value: Any, model: OpenModel | AppError) -> Any:
        if isinstance(model, AppError):
            raise model
        (given,) = await self._inference.fetcher.fetch_all([self._options.to_input(value)])
        (item,), _ = model.check(self._options.task, [self._options.to_item(given)], largest=MAX_LINE)
        return item

    async def _submit(self, items: Sequence[Any]) -> list[Any]:
        """Returns a result an item, or the AppError that it met. Waits for a full queue."""
        while True:
            try:
                model = await self._inference.open(self._model)
                return await model.submit(self._options.task, items, self._flow)
            except Busy as busy:
                await asyncio.sleep(min(busy.retry_after, _LONGEST_WAIT))
            except Exception as error:  # of one item, or of what all share
                if len(items) == 1:
                    return [_known(error)]
                return [each for item in items for each in await self._submit([item])]


def _input_of(line: dict[str, Any]) -> Any:
    """Raises InvalidValue for a line without an input, or with another field."""
    if unknown := line.keys() - {"id", "input"}:
        name = min(unknown)
        raise InvalidValue(f"`{name}` is not a known field", param=name)
    if "input" not in line:
        raise InvalidValue("`input` is required", param="input")
    return line["input"]


def _identifier(value: Any) -> str | int | float | None:
    """Raises InvalidValue for what an answer could not repeat."""
    match value:
        case None | str():
            return value
        case bool():
            pass
        case int() if value in _INTEGERS:
            return value
        case float() if math.isfinite(value):
            return value
    raise InvalidValue("`id` should be a string or a number, and an integer one of at most 64 bits", param="id")


def _known(error: Exception) -> AppError:
    """Returns the error object of a line. Internal errors go to the log alone."""
    if isinstance(error, AppError):
        return error
    _log.error("a line of a stream failed", exc_info=error)
    return AppError("internal error; the server's log says why")


def _json(value: dict[str, Any]) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE)
