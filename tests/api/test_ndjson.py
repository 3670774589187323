"""Streams of lines: over a real socket where both directions matter, else by the test client."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from fastapi.testclient import TestClient

from app.api.schemas.embeddings import EmbeddingOptions
from app.api.streams import open_stream
from app.errors import Busy
from app.inference.build import build_inference
from app.modalities.embedding import EmbedItem, EmbedResult
from app.serving.batches import Flow
from app.settings import Settings
from app.store.manifest import Manifest
from app.types import ModalityName, Task
from tests.fakes.loader import WAIT
from tests.fakes.objective import DIMENSIONS, MASK, FakeObjective
from tests.fakes.server import serving

HEADERS = {"content-type": "application/x-ndjson"}


def ask(client: TestClient, *lines: Any, path: str = "/v1/embeddings", **query: Any) -> list[dict[str, Any]]:
    """Lines that are bytes go out as they are."""
    body = b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines)
    answer = client.post(path, params=query, content=body, headers=HEADERS)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/x-ndjson")
    assert answer.content.endswith(b"\n") or not answer.content
    return [json.loads(line) for line in answer.text.splitlines()]


def test_a_line_an_input_in_order_with_its_id(client: TestClient) -> None:
    lines = ["one two", {"input": "three", "id": "c"}, b"", {"id": 7, "input": [1, 2, 3]}, b"  "]
    found = ask(client, *lines, token_ids=True)

    assert [(line["index"], line.get("id"), line["usage"]["prompt_tokens"]) for line in found] == [
        (0, None, 2), (1, "c", 1), (2, 7, 3),
    ]  # fmt: skip
    assert "id" not in found[0]
    plain = client.post("/v1/embeddings", json={"input": "three"}).json()["data"][0]["embedding"]
    assert found[1]["embedding"] == pytest.approx(plain)
    assert ask(client) == []


def test_mistakes_are_answered_in_their_line(make_client: Callable[..., TestClient]) -> None:
    client = make_client(max_body_bytes=200)
    lines = [
        b"{", 7, {"id": "x"}, {"input": "a", "user": "me"}, "", {"input": "", "id": 3}, "b " * 95, "fine", "c " * 300,
        {"input": ["a", "b"]}, {"input": "a", "id": [1]}, b"\xff", {"input": "late", "id": "z"},
    ]  # fmt: skip

    found = ask(client, *lines)

    codes = [line["error"]["code"] if "error" in line else "" for line in found]
    assert codes == [
        "invalid_request", *["invalid_value"] * 3, "empty_input", "empty_input", "input_too_long", "", "too_large",
        "invalid_value", "invalid_value", "invalid_request", "",
    ]  # fmt: skip
    assert [line["index"] for line in found] == list(range(13))
    assert (found[2]["id"], found[2]["error"]["param"], found[5]["id"], found[12]["id"]) == ("x", "input", 3, "z")
    assert found[0]["error"].keys() == {"message", "type", "code", "param"}


@pytest.mark.parametrize("given", [b"18446744073709551616", b"-9223372036854775809", b"true", b"1e999", b"[1]"])
def test_an_id_that_no_answer_could_repeat_is_a_mistake_of_its_line(client: TestClient, given: bytes) -> None:
    found = ask(client, b'{"id": ' + given + b', "input": "a"}', "b")
    assert found[0]["error"]["code"] in ("invalid_value", "invalid_request")
    assert "id" not in found[0] and "embedding" in found[1]


@pytest.mark.parametrize("given", ["x", 18446744073709551615, -9223372036854775808, 1.5, 0, ""])
def test_ids_come_back_as_they_were(client: TestClient, given: Any) -> None:
    (found,) = ask(client, {"id": given, "input": "a"})
    assert (found["id"], "embedding" in found) == (given, True)


@pytest.mark.parametrize("where", ["prepare", "finish", "tolist"])
def test_a_line_that_meets_a_bug_is_answered_and_ends_nothing(
    client: TestClient, fakes: dict[str, FakeObjective], where: str, caplog: pytest.LogCaptureFixture
) -> None:
    handler: Any = fakes["full"].tasks[Task.EMBED]
    name = "finish" if where == "tolist" else where
    work = getattr(handler, name)

    def broken(*given: Any) -> Any:
        text = (given[0].context if name == "finish" else given[0]).input
        if text != "bad":
            return work(*given)
        if where == "tolist":  # an answer that cannot be written
            return SimpleNamespace(vector=np.array([object()]), tokens=1)
        raise RuntimeError("a secret of the server")

    setattr(handler, name, broken)
    found = ask(client, "good", {"id": 1, "input": "bad"}, "good")

    assert ["embedding" in line for line in found] == [True, False, True]
    assert (found[1]["id"], found[1]["error"]["code"]) == (1, "internal_error")
    assert ("secret" not in found[1]["error"]["message"] and "secret" in caplog.text) or where == "tolist"


def test_options_are_in_the_query(client: TestClient) -> None:
    (found,) = ask(client, "a b", model="org/slashed", encoding_format="base64", dimensions=3, normalize="false")
    vector = np.frombuffer(base64.b64decode(found["embedding"]), "<f4")
    assert vector.shape == (3,) and abs(np.linalg.norm(vector) - 1) > 1e-3
    (long,) = ask(client, "w " * 100, truncate="true")
    assert len(long["embedding"]) == DIMENSIONS


@pytest.mark.parametrize(
    ("query", "status", "param"),
    [
        ({"model": "absent"}, 404, "model"),
        ({"dimensions": "none"}, 422, "dimensions"),
        ({"pool": "mean"}, 422, "pool"),
        ({"pooling": "sum"}, 422, "pooling"),
        ({"normalize": "perhaps"}, 422, "normalize"),
    ],
)
def test_a_wrong_query_is_refused_whole(client: TestClient, query: dict[str, str], status: int, param: str) -> None:
    answer = client.post("/v1/embeddings", params=query, content=b'"a"\n', headers=HEADERS)
    assert (answer.status_code, answer.json()["error"]["param"]) == (status, param)


def test_fill_mask(client: TestClient) -> None:
    found = ask(client, f"a {MASK}", "none", {"input": MASK, "id": 1}, [1], path="/v1/fill-mask", top_k=2)
    assert [[len(mask["candidates"]) for mask in line.get("masks", [])] for line in found] == [[2], [], [2], []]
    assert [line["error"]["code"] for line in found if "error" in line] == ["no_mask", "invalid_value"]
    bare = client.post("/v1/fill-mask", params={"model": "bare"}, content=b'"a"\n', headers=HEADERS)
    assert bare.json()["error"]["code"] == "task_not_supported"


def test_a_lines_answer_is_bounded(client: TestClient) -> None:
    found = ask(client, f"{MASK} " + "a" * 3_000, MASK, path="/v1/fill-mask", top_k=1000)
    assert [line.get("error", {}).get("param") for line in found] == ["top_k", None]


def test_only_a_line_is_bounded_not_the_body(make_client: Callable[..., TestClient]) -> None:
    client = make_client(max_body_bytes=100)
    assert len(ask(client, *["a b c"] * 1000)) == 1000
    assert client.post("/v1/embeddings", json={"input": ["a b c"] * 100}).status_code == 413
    assert client.post("/v1/score", content=b'"a"' * 100, headers=HEADERS).status_code == 413


def test_other_routes_take_no_lines(client: TestClient) -> None:
    assert client.post("/v1/score", content=b'"a"\n', headers=HEADERS).status_code == 400


class Stream:
    """A request over a socket, of which both directions are open."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def open(cls, url: str) -> "Stream":
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        head = ["POST /v1/embeddings HTTP/1.1", "host: cloze", "content-type: application/x-ndjson"]
        writer.write("\r\n".join([*head, "transfer-encoding: chunked", "", ""]).encode())
        return cls(reader, writer)

    async def send(self, *texts: str) -> None:
        lines = b"".join(json.dumps(text).encode() + b"\n" for text in texts)
        self.writer.write(b"%x\r\n%s\r\n" % (len(lines), lines))
        await self.writer.drain()

    async def receive(self) -> dict[str, Any]:
        """The next answer: the only line of the body that is not a chunk's size or empty."""
        while not (line := (await self.reader.readline()).strip()).startswith(b"{"):
            assert not line.startswith(b"HTTP") or b" 200 " in line, line
        return dict(json.loads(line))


def run(main: Callable[[], Awaitable[Any]]) -> Any:
    return asyncio.run(asyncio.wait_for(main(), WAIT))


def test_answers_come_while_lines_are_still_sent(make_app: Callable[..., Any]) -> None:
    with serving(make_app()) as url:

        async def main() -> None:
            stream = await Stream.open(url)
            for index in range(5):
                await stream.send("word " * (index + 1))
                assert (await stream.receive())["usage"]["prompt_tokens"] == index + 1
            stream.writer.write(b"0\r\n\r\n")
            while await stream.reader.readline() not in (b"0\r\n", b""):
                pass
            stream.writer.close()

        run(main)


def test_a_stream_takes_an_eighth_of_the_queue_and_leaves_nothing(
    make_app: Callable[..., Any], fakes: dict[str, FakeObjective]
) -> None:
    app = make_app(max_queued_inputs=160)
    batcher = app.state.services.pool.batcher
    with serving(app) as url:

        async def main() -> None:
            stream = await Stream.open(url)
            await stream.send("ready")
            await stream.receive()
            fakes["full"].gate.clear()
            await stream.send(*(f"word{n}" for n in range(300)))
            while batcher.in_use < 20:
                await asyncio.sleep(0)
            await stream.send(*(f"other{n}" for n in range(300)))
            assert batcher.in_use == 20
            stream.writer.close()
            fakes["full"].gate.set()
            while batcher.in_use:
                await asyncio.sleep(0)

        run(main)


@pytest.mark.parametrize("ended", [True, False])
def test_what_a_client_has_asked_for_that_left_is_not_computed(
    make_app: Callable[..., Any], fakes: dict[str, FakeObjective], ended: bool
) -> None:
    app = make_app(max_queued_inputs=1600, max_batch_tokens=4)
    batcher = app.state.services.pool.batcher
    with serving(app) as url:

        async def main() -> None:
            stream = await Stream.open(url)
            await stream.send("ready")
            await stream.receive()
            fakes["full"].gate.clear()
            fakes["full"].batches.clear()
            await stream.send(*(f"word{n}" for n in range(150)))
            if ended:
                stream.writer.write(b"0\r\n\r\n")
            while batcher.waiting < 130:  # 4 a batch: the rest is on the device, or about to be
                await asyncio.sleep(0)
            stream.writer.close()
            while batcher.waiting:
                await asyncio.sleep(0)
            fakes["full"].gate.set()
            while batcher.in_use:
                await asyncio.sleep(0)
            assert len(fakes["full"].batches) <= 5

        run(main)


class Pool:
    """A pool of one engine, and that engine. It answers at once, but is busy where it is told."""

    def __init__(self, busy: int = 0) -> None:
        self.busy, self.submitted = busy, 0
        manifest = Manifest(modality=ModalityName.TEXT, architecture="a", tasks=(Task.EMBED,), parameters=1)
        self.entry = SimpleNamespace(id="m@1", manifest=manifest)
        self.model = FakeObjective()
        self.device_type, self.dtype = "cpu", torch.float32

    async def get(self, model: str) -> "Pool":
        return self

    def require(self, task: Task) -> Any:
        assert task is Task.EMBED
        return SimpleNamespace(handler=self.model.tasks[task])

    async def submit(self, task: Task, items: list[EmbedItem], flow: Flow) -> list[EmbedResult]:
        if self.busy:
            self.busy -= 1
            raise Busy("later", retry_after=0)
        self.submitted += len(items)
        return [EmbedResult(np.zeros(1, np.float32), 1) for _ in items]


async def answers(pool: Any, messages: int) -> tuple[AsyncIterator[bytes], list[int]]:
    """A stream of so many messages of 32 lines, and how many of them have been read."""
    read = [0]

    async def receive() -> dict[str, Any]:
        if read[0] == messages:
            await asyncio.Event().wait()  # nothing is left to be said
        read[0] += 1
        lines = b"".join(b'"%d %d"\n' % (read[0], n) for n in range(32))
        return {"type": "http.request", "body": lines, "more_body": read[0] < messages}

    stream = await open_stream(build_inference(Settings(), pool), EmbeddingOptions())
    return stream.answers(receive), read


def test_nothing_is_read_that_nobody_takes_the_answers_of() -> None:
    pool = Pool()

    async def main() -> None:
        stream, read = await answers(pool, 100)
        await anext(stream)
        for _ in range(2000):
            await asyncio.sleep(0)
        assert read[0] <= 10  # eight chunks in flight, the one that was taken, and the next at the door
        assert pool.submitted <= 9 * 32
        rest = [line async for chunk in stream for line in chunk.splitlines()]
        assert len(rest) == 99 * 32
        assert json.loads(rest[-1])["index"] == 3199

    run(main)


def test_a_full_queue_is_waited_for() -> None:
    async def main() -> int:
        stream, _ = await answers(Pool(busy=5), 3)
        return sum([chunk.count(b'embedding"') for chunk in [each async for each in stream]])

    assert run(main) == 2 * 96  # the object's name, and its field
