"""Streams of any length: newline-delimited JSON in, newline-delimited JSON out, one line an input.

Answers come in order, while later lines still arrive. Only so many lines are worked on at once: where the device is
slower than the client, nothing more is read, and where the client does not read its answers, nothing more is computed.
When the client leaves, all work for it is cancelled.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, suppress

from starlette.requests import ClientDisconnect
from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from app.api.wire.content_type import NDJSON
from app.api.wire.disconnect import wait_for_disconnect
from app.api.wire.lines import read_lines, split_chunks

# Answers some lines, the first of which has the given index, with as many lines. None: a line that was too long.
AnswerChunk = Callable[[Sequence[bytes | None], int], Awaitable[bytes]]


class LinesResponse(StreamingResponse):
    """Answers lines as they arrive.

    Leaves what the client sends to its content, where Starlette's own response would look there for the disconnect.
    """

    def __init__(self, lines: AsyncIterator[bytes]) -> None:
        super().__init__(lines, media_type=NDJSON)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with suppress(ClientDisconnect):
            async with aclosing(self.body_iterator):  # type: ignore[type-var]
                await self.stream_response(send)


async def answer_lines(
    receive: Receive, answer: AnswerChunk, *, max_line: int, chunk: int, chunks_at_once: int
) -> AsyncIterator[bytes]:
    """Yields the answers of the lines that arrive, chunk by chunk, in order. Raises ClientDisconnect.

    max_line: bytes of a line. chunk: lines that are answered together, at most. chunks_at_once: chunks in flight.
    """
    answers: asyncio.Queue[asyncio.Task[bytes] | None] = asyncio.Queue()
    unfinished: set[asyncio.Task[bytes]] = set()
    room = asyncio.Semaphore(chunks_at_once)
    client = _Client(receive)

    async def read() -> None:
        index = 0
        try:
            async for lines in read_lines(client.receive, max_line):
                for part in split_chunks(lines, chunk):
                    await room.acquire()
                    task = asyncio.ensure_future(answer(part, index))
                    unfinished.add(task)
                    task.add_done_callback(unfinished.discard)
                    answers.put_nowait(task)
                    index += len(part)
        finally:
            answers.put_nowait(None)

    reading = asyncio.create_task(read())
    try:
        while (task := await answers.get()) is not None:
            await asyncio.wait({task, client.left}, return_when=asyncio.FIRST_COMPLETED)
            if client.left.done():
                raise ClientDisconnect
            yield task.result()
            room.release()
        await reading  # raises what ended it
    finally:
        ending = [reading, client.left, *unfinished]
        for each in ending:
            each.cancel()
        await asyncio.gather(*ending, return_exceptions=True)


class _Client:
    """The client that sends the lines. It is the only reader of its messages, and notices when the client leaves."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._body_ended = asyncio.Event()
        self.left = asyncio.create_task(self._wait())  # done when the client has left

    async def receive(self) -> Message:
        """Returns the next message of the body."""
        message = await self._receive()
        if not message.get("more_body", False):  # the last one; or the client has left before it
            self._body_ended.set()
        return message

    async def _wait(self) -> None:
        await self._body_ended.wait()
        await wait_for_disconnect(self._receive)
