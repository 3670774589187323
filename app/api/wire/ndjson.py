"""Streams of any length: newline-delimited JSON in, newline-delimited JSON out, a line an input.

Answers come in order, while later lines still arrive. Only so many lines are worked on at once:
where the device is slower than the client, nothing more is read, and where the client does not read
its answers, nothing more is computed. A line at fault is answered with its error and ends nothing.
When the client leaves, what waits or is being worked on for it is dropped.
"""

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import orjson
from fastapi import Request, Response
from pydantic import BaseModel, TypeAdapter, ValidationError
from starlette.requests import ClientDisconnect
from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from app.api.deps import Services
from app.api.errors import error_object
from app.api.inference_route import InferenceRoute
from app.api.media_inputs import fetch_all
from app.api.schemas.common import Inputs
from app.api.wire.body import read_json
from app.api.wire.content_type import NDJSON, media_type
from app.api.wire.disconnect import wait_for_disconnect
from app.api.wire.lines import chunks, read_lines
from app.errors import AppError, Busy, InvalidValue, TooLarge
from app.serving.batches import Flow
from app.types import Task
from app.validation import describe

_CHUNK = 32  # lines that are submitted together, at most
_LARGE_CHUNK = 4  # of those whose answers are large: 64 MiB of them may wait for a client that does not read
_CHUNKS = 8  # in flight: enough to fill a device's batches, few enough to leave the queue to others
_SHARE = 8  # a stream takes at most one permit in so many
_LONGEST_WAIT = 1.0  # seconds until a full queue is asked again

_INTEGERS = range(-(2**63), 2**64)  # that an answer can hold

_log = logging.getLogger(__name__)

Handler = Callable[[Request], Awaitable[Response]]
B = TypeVar("B", bound=BaseModel)

_INPUTS: TypeAdapter[list[Any]] = TypeAdapter(Inputs)


def also_ndjson(stream: Handler) -> type[InferenceRoute]:
    """A route class whose routes hand bodies of NDJSON to `stream`, and all others on as ever."""

    class Route(InferenceRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            plain = super().get_route_handler()

            async def either(request: Request) -> Response:
                return await (stream if media_type(request.headers) == NDJSON else plain)(request)

            return either

    return Route


def options(request: Request, schema: type[B]) -> B:
    """The query's parameters. Raises InvalidValue."""
    try:
        return schema.model_validate(dict(request.query_params))
    except ValidationError as error:
        raise describe(error.errors()[0]) from error


async def one_input(services: Services, value: Any) -> Any:
    """A line's input, as the `input` of a body that holds one. Raises InvalidValue."""
    try:
        inputs = _INPUTS.validate_python(value)
    except ValidationError as error:
        raise InvalidValue(
            f"`input`: {error.errors()[0]['msg'].removeprefix('Value error, ')}", param="input"
        ) from error
    if len(inputs) != 1:
        raise InvalidValue(f"a line holds one input, not {len(inputs)}", param="input")
    return (await fetch_all(services, inputs))[0]


@dataclass(frozen=True)
class LineWork:
    """The task of a stream: how a line becomes an item, and a result a line.

    item: a line's `input` → an item of the task, or AppError. fields: a result → what the answer says of it.
    large: an answer is not written in far less than a millisecond.
    """

    task: Task
    item: Callable[[Any], Awaitable[Any]]
    fields: Callable[[Any], dict[str, Any]]
    large: bool = False


@dataclass(frozen=True)
class _Line:
    index: int
    id: Any  # None: the client gave none
    asked: Any  # an item, or the AppError that the line is


async def answer_lines(request: Request, services: Services, model: str | None, work: LineWork) -> Response:
    """Raises AppError as long as nothing is sent: for an unknown model, and for one that cannot do the task."""
    engine = await services.pool.get(model)
    engine.require(work.task)
    return _LinesResponse(_Answers(services, engine.entry.id, work).of(request.receive), media_type=NDJSON)


class _LinesResponse(StreamingResponse):
    """Leaves what the client sends to its content, where starlette's would look there for the client's leave."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with suppress(ClientDisconnect):
            async with aclosing(self.body_iterator):  # type: ignore[type-var]
                await self.stream_response(send)


class _Answers:
    def __init__(self, services: Services, model: str, work: LineWork) -> None:
        settings = services.settings
        self._pool, self._model, self._work = services.pool, model, work
        self._flow = Flow()
        self._max_line = settings.max_body_bytes
        share = max(1, settings.max_queued_inputs // _SHARE)
        self._chunk = min(_LARGE_CHUNK if work.large else _CHUNK, share)
        self._chunks = min(_CHUNKS, max(1, share // self._chunk))

    async def of(self, receive: Receive) -> AsyncIterator[bytes]:
        """The answers of the lines that arrive, chunk by chunk. Raises ClientDisconnect."""
        answers: asyncio.Queue[asyncio.Task[bytes] | None] = asyncio.Queue()
        unfinished: set[asyncio.Task[bytes]] = set()
        room = asyncio.Semaphore(self._chunks)
        client = _Client(receive)

        async def read() -> None:
            index = 0
            try:
                async for lines in read_lines(client.receive, self._max_line):
                    for chunk in chunks(lines, self._chunk):
                        await room.acquire()
                        answer = asyncio.create_task(self._answer(chunk, index))
                        unfinished.add(answer)
                        answer.add_done_callback(unfinished.discard)
                        answers.put_nowait(answer)
                        index += len(chunk)
            finally:
                answers.put_nowait(None)

        reading = asyncio.create_task(read())
        try:
            while (answer := await answers.get()) is not None:
                await asyncio.wait({answer, client.wait_for_disconnect}, return_when=asyncio.FIRST_COMPLETED)
                if client.wait_for_disconnect.done():
                    raise ClientDisconnect
                yield answer.result()
                room.release()
            await reading  # raises what ended it
        finally:
            ending = [reading, client.wait_for_disconnect, *unfinished]
            for each in ending:
                each.cancel()
            await asyncio.gather(*ending, return_exceptions=True)

    async def _answer(self, raws: Sequence[bytes | None], first: int) -> bytes:
        lines = [await self._line(raw, first + place) for place, raw in enumerate(raws)]
        sound = [line for line in lines if not isinstance(line.asked, AppError)]
        results = iter(await self._submit([line.asked for line in sound]))
        pairs = [(line, line.asked if isinstance(line.asked, AppError) else next(results)) for line in lines]
        if self._work.large:
            return await asyncio.to_thread(self._all_written, pairs)
        return self._all_written(pairs)

    def _all_written(self, pairs: Sequence[tuple[_Line, Any]]) -> bytes:
        return b"".join(self._written(line, result) for line, result in pairs)

    def _written(self, line: _Line, result: Any) -> bytes:
        head = {"index": line.index} | ({} if line.id is None else {"id": line.id})
        if not isinstance(result, AppError):
            try:
                return _json(head | self._work.fields(result))
            except Exception as error:
                result = _known(error)
        return _json(head | {"error": error_object(result)})

    async def _line(self, raw: bytes | None, index: int) -> _Line:
        identifier = None
        try:
            if raw is None:
                raise TooLarge(f"the line is longer than the {self._max_line} bytes that are taken here")
            value = await read_json(raw, "the line")
            if isinstance(value, dict):
                identifier = _identifier(value.get("id"))
                if unknown := value.keys() - {"id", "input"}:
                    name = min(unknown)
                    raise InvalidValue(f"`{name}` is not a field that is known here", param=name)
                if "input" not in value:
                    raise InvalidValue("`input` is required", param="input")
                value = value["input"]
            elif not isinstance(value, str):
                raise InvalidValue("a line should be a string or an object with `input` and perhaps `id`")
            return _Line(index, identifier, await self._work.item(value))
        except Exception as error:
            return _Line(index, identifier, _known(error))

    async def _submit(self, items: Sequence[Any]) -> list[Any]:
        """A result an item, or the AppError that it met. A full queue is waited for."""
        while True:
            try:
                engine = await self._pool.get(self._model)
                return await engine.submit(self._work.task, items, self._flow)
            except Busy as busy:
                await asyncio.sleep(min(busy.retry_after, _LONGEST_WAIT))
            except Exception as error:  # of one item, or of what all share
                if len(items) == 1:
                    return [_known(error)]
                return [each for item in items for each in await self._submit([item])]


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


class _Client:
    """The client that sends the lines. It is the only reader of its messages, and notices when the client leaves."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._body_ended = asyncio.Event()
        self.wait_for_disconnect = asyncio.create_task(self._leave())  # done when it has

    async def receive(self) -> Message:
        """The next message of the body."""
        message = await self._receive()
        if not message.get("more_body", False):  # the last one; or the client has left before it
            self._body_ended.set()
        return message

    async def _leave(self) -> None:
        await self._body_ended.wait()
        await wait_for_disconnect(self._receive)
