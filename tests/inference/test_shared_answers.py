"""Answers that requests share: the same input is computed once, and its answer is kept where a cache is set."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.errors import Busy, EmptyInput, InvalidValue
from app.inference.answer_cache import MemoryCache
from app.inference.answer_codec import LARGEST, Unreadable, decode, encode
from app.inference.build import build_inference, build_pool
from app.inference.client import LocalClient
from app.inference.redis_cache import INDEX, PREFIX, TOTAL, RedisCache
from app.inference.service import Answer, Inference
from app.jobs.connection import Client, EmbeddedRedis
from app.modalities.classification import ClassifyItem, ClassifyResult, Entity, LabelledTokens
from app.modalities.embedding import EmbedItem, EmbedResult
from app.modalities.reconstruction import ReconstructItem, ReconstructResult
from app.modalities.text import items as text_items
from app.modalities.text.candidates.results import MaskedGroup, MaskedResult, MeasuredPrediction
from app.modalities.text.items import (
    Candidate,
    FilledSequence,
    FilledToken,
    FillMaskItem,
    FillMaskResult,
    MaskPrediction,
    RankedToken,
    ScoredToken,
    ScoreItem,
    ScoreResult,
    WordCandidate,
)
from app.settings import Settings
from app.store.manifest import Manifest
from app.store.store import ModelStore
from app.types import ModalityName, Task
from tests.fakes.clock import Clock
from tests.fakes.loader import WAIT
from tests.fakes.objective import HEAD, MASK, FakeObjective
from tests.fakes.redis import redis, redis_server  # noqa: F401

TASKS = (Task.FILL_MASK, Task.EMBED, Task.SCORE, Task.CLASSIFY)
ITEMS: dict[Task, Callable[[str], Any]] = {
    Task.EMBED: EmbedItem, Task.FILL_MASK: FillMaskItem, Task.SCORE: ScoreItem, Task.CLASSIFY: ClassifyItem,
}  # fmt: skip

Main = Callable[[Inference, FakeObjective], Coroutine[Any, Any, Any]]


class Recorder(LocalClient):
    """A client that keeps what it is told of the cache."""

    def __init__(self) -> None:
        self.noted: list[tuple[int, int]] = []

    def note_model(self, name: str) -> None:
        pass

    def note_hits(self, hits: int, inputs: int) -> None:
        self.noted.append((hits, inputs))


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Any]:
    store = ModelStore(tmp_path / "models")
    folder = tmp_path / "weights"
    folder.mkdir()
    for name, content in {"one": b"1", "same": b"1", "other": b"2"}.items():
        (folder / "model.safetensors").write_bytes(content)
        manifest = Manifest(modality=ModalityName.TEXT, architecture="a", tasks=TASKS, parameters=2)
        store.publish(folder, manifest, name=name)

    def run(main: Main, **changes: Any) -> Any:
        fake = FakeObjective(TASKS)
        settings = Settings(var_dir=tmp_path / "var", default_model="one", device="cpu", threads=1, **changes)

        async def with_inference() -> Any:
            pool = build_pool(settings, store, load=lambda path: fake)
            inference = build_inference(settings, pool)
            await pool.start()
            try:
                return await main(inference, fake)
            finally:
                fake.gate.set()
                inference.close()
                await inference.answers.close()
                await pool.stop()

        return asyncio.run(asyncio.wait_for(with_inference(), WAIT))

    return run


async def ask(
    inference: Inference, inputs: list[str], task: Task = Task.EMBED, model: str = "one", client: Any = None
) -> list[Any]:
    def write(answer: Answer[Any]) -> list[Any]:
        return list(answer.results)

    return await inference.run(task, model, inputs, client or Recorder(), to_item=ITEMS[task], write=write)


def equal(one: Any, other: Any) -> bool:
    """Whether two results are equal bit for bit, with all their types."""
    if type(one) is not type(other):
        return False
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
    if is_dataclass(one):
        return all(equal(getattr(one, each.name), getattr(other, each.name)) for each in fields(one))
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(equal, one, other))
    return bool(one == other)


@pytest.mark.parametrize("task", TASKS)
def test_a_hit_equals_the_miss(run: Callable[..., Any], task: Task) -> None:
    async def main(inference: Inference, fake: FakeObjective) -> None:
        client, text = Recorder(), f"a {MASK} runs"
        (missed,) = await ask(inference, [text], task, client=client)
        count = len(fake.batches)
        hit, fresh = await ask(inference, [text, f"{text} fast"], task, "same", client=client)
        assert equal(hit, missed)
        assert not equal(hit, fresh)
        (again,) = await ask(inference, [text], task, "other", client=client)  # another content
        assert equal(again, missed)
        assert len(fake.batches) > count
        await ask(inference, [text], task, client=client)
        assert client.noted == [(0, 1), (1, 2), (0, 1), (1, 1)]

    run(main, cache="memory")


def test_a_hit_takes_no_permit(run: Callable[..., Any]) -> None:
    async def main(inference: Inference, fake: FakeObjective) -> None:
        await ask(inference, ["a"])
        fake.gate.clear()
        blocked = asyncio.ensure_future(ask(inference, ["b"]))
        await asyncio.to_thread(fake.started.acquire)
        await asyncio.to_thread(fake.started.acquire)
        with pytest.raises(Busy):
            await ask(inference, ["c"])
        await ask(inference, ["a"])
        fake.gate.set()
        await blocked

    run(main, cache="memory", max_queued_inputs=1)


def test_equal_inputs_of_a_request_are_computed_once(run: Callable[..., Any]) -> None:
    async def main(inference: Inference, fake: FakeObjective) -> None:
        await ask(inference, ["z"])
        fake.batches.clear()
        results = await ask(inference, ["a b", "c", "a b", "a b"])
        assert [each.tokens for each in results] == [2, 1, 2, 2]
        assert sum(fake.batches) == 2

    run(main)


async def started(fake: FakeObjective, inference: Inference, *requests: list[str]) -> list[asyncio.Task[Any]]:
    """The requests, in order, each under way; the first one runs and is blocked."""
    await inference.open("one")
    while fake.started.acquire(blocking=False):
        pass
    fake.gate.clear()
    tasks = []
    for inputs in requests:
        tasks.append(asyncio.create_task(ask(inference, inputs)))
        if len(tasks) == 1:
            await asyncio.to_thread(fake.started.acquire)
        for _ in range(20):  # as far as it gets
            await asyncio.sleep(0)
    fake.batches.clear()
    return tasks


def test_a_computation_is_shared_while_it_runs(run: Callable[..., Any]) -> None:
    async def main(inference: Inference, fake: FakeObjective) -> None:
        tasks = await started(fake, inference, ["a"], ["a"], ["a", "b"])
        fake.gate.set()
        first, second, third = [await task for task in tasks]
        assert first[0] is second[0] is third[0]
        assert not first[0].vector.flags.writeable
        assert sum(fake.batches) <= 2

    run(main)


def test_a_request_does_not_wait_for_the_other_inputs_of_a_larger_one(run: Callable[..., Any]) -> None:
    async def main(inference: Inference, fake: FakeObjective) -> None:
        tasks = await started(fake, inference, ["a", "b"], ["a"])
        fake.gate.set()
        (large, _), (small,) = [await task for task in tasks]
        assert large is not small
        assert equal(large, small)

    run(main)


def test_a_client_that_leaves_ends_no_other_request(run: Callable[..., Any]) -> None:
    async def main(inference: Inference, fake: FakeObjective) -> None:
        leaving, waiting, also = await started(fake, inference, ["a"], ["a"], ["a"])
        leaving.cancel()
        await asyncio.wait([leaving])
        also.cancel()
        fake.gate.set()
        assert [each.tokens for each in await waiting] == [1]

    run(main)


def test_each_request_gets_an_error_of_its_own_and_none_is_kept(run: Callable[..., Any]) -> None:
    async def main(inference: Inference, fake: FakeObjective) -> None:
        tasks = await started(fake, inference, ["a"], ["a"])
        fake.errors.append(InvalidValue("once"))
        fake.gate.set()
        one, other = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(one, InvalidValue) or [each.tokens for each in one] == [1]
        assert other is not one
        assert [each.tokens for each in await ask(inference, ["a"])] == [1]

    run(main, cache="memory")


@pytest.mark.parametrize(
    ("inputs", "index"), [(["a", ""], 1), (["a", "b", ""], 2), (["a", "a", "", "b"], 2), (["", ""], 0), ([""], None)]
)
def test_an_error_names_its_input(run: Callable[..., Any], inputs: list[str], index: int | None) -> None:
    async def main(inference: Inference, fake: FakeObjective) -> None:
        await ask(inference, ["a"])
        with pytest.raises(EmptyInput) as caught:
            await ask(inference, inputs)
        assert caught.value.index == index

    run(main, cache="memory")


def test_the_least_recently_used_answers_go() -> None:
    async def main() -> None:
        cache = MemoryCache(3 * 1300)
        for name in (b"a", b"b", b"c"):
            await cache.write({name: bytes(1000)})
        await cache.read([b"a"])
        await cache.write({b"d": bytes(1000), b"c": bytes(1000)})
        assert sorted(await cache.read([b"a", b"b", b"c", b"d"])) == [b"a", b"c", b"d"]
        assert cache.size.answers == 3
        assert cache.size.bytes <= 3 * 1300
        await cache.write({b"huge": bytes(10_000)})
        assert cache.size.answers == cache.size.bytes == 0

    asyncio.run(main())


RESULTS = [
    EmbedResult(np.arange(6, dtype=np.float32).reshape(2, 3)[:, :2], 7, ((0.0, 0.1), (0.1, 1 / 3)), 2),
    EmbedResult(np.array([-0.0, np.nan, np.inf], np.float32), 1),
    FillMaskResult([MaskPrediction(1, 0, 6, [Candidate(0.1 + 0.2, 5, " ü\ud7ff", "\x00x")])], 3, None),
    FillMaskResult([MaskPrediction(1, 0, 6, [WordCandidate(0.1, -2.3, 0.3, None, "a b", [], 4, "a b")])], 3),
    FillMaskResult([], 3, [FilledSequence("a", -1e-300, -1.0, 0.5, [FilledToken(2**40, "b")], [1])]),
    FillMaskResult([MeasuredPrediction(1, 0, 6, [Candidate(0.1, 5, "a", "b")], 1.5, [RankedToken(0.1, 2, "b")])], 3),
    MaskedResult([], 3, None, [MaskedGroup(0, 1, "a", None, "b", [])]),
    ScoreResult([ScoredToken(1, "a", 0, 1, 0, -0.5, 3, [RankedToken(1e-9, 2, "b")])], 3),
    ClassifyResult(np.array([1.5, -2.0, 1e-310]), HEAD.classifier, 2, 9),
    LabelledTokens([Entity("A", 0.25, "w", 0, 1, None), Entity("B", 1.0, "v", 1, 2, 3)], HEAD.classifier, 4),
]


@pytest.mark.parametrize("result", RESULTS, ids=lambda result: type(result).__name__)
def test_a_result_is_read_as_it_was_written(result: Any) -> None:
    payload = encode(result, HEAD.classifier)
    assert payload is not None
    assert equal(decode(payload, HEAD.classifier), result)
    if isinstance(result, ClassifyResult):
        assert b"hen" not in payload  # the labels are the model's


@pytest.mark.parametrize("result", RESULTS, ids=lambda result: type(result).__name__)
def test_damaged_bytes_are_no_result(result: Any) -> None:
    payload = encode(result, HEAD.classifier) or b""
    head = payload.index(b"}") if b"}" in payload else 30
    for damaged in (payload[:head], payload.replace(b"app.mod", b"os.path"), payload.replace(b":", b";"), b"", b"{}"):
        with pytest.raises(Unreadable):
            decode(damaged, HEAD.classifier)


@pytest.mark.parametrize(
    "content",
    [
        b'["subprocess:Popen",{"args":["true"]}]',
        b'["app.modalities.embedding:np",{}]',
        b'["app.modalities.embedding:EmbedItem",{"input":"a"}]',
        b'["app.modalities.embedding:EmbedResult",{"vector":{"dtype":"|O8","shape":[1],"begin":0},"tokens":1}]',
        b'["app.modalities.embedding:EmbedResult",{"vector":{"dtype":"<f4","shape":[9e9],"begin":0},"tokens":1,'
        b'"times":null,"parts":1}]',
        b'["app.modalities.text.items:FillMaskResult",{"masks":"abc","tokens":1,"sequences":null}]',
        b'["app.modalities.text.items:FillMaskResult",{"masks":[],"tokens":"1","sequences":null}]',
    ],
)
def test_only_results_are_read(content: bytes) -> None:
    with pytest.raises(Unreadable):
        decode(len(content).to_bytes(4, "little") + content)


def test_large_results_are_not_kept() -> None:
    assert encode(EmbedResult(np.zeros(LARGEST // 4 + 1, np.float32), 1)) is None
    sequence = FilledSequence("a" * LARGEST, -1.0, -1.0, 0.5, [], [])
    assert encode(FillMaskResult([], 1, [sequence])) is None
    empty = np.zeros((1, 1), bool)
    values = np.zeros((1, 1, 1), np.float32)
    assert encode(ReconstructResult(empty, 0.1, 1.0, {}, values, values, empty, 1)) is None  # of any size


def test_no_field_is_left_out_of_a_key() -> None:
    """orjson leaves out fields whose names begin with an underscore."""
    kinds = [each for each in vars(text_items).values() if is_dataclass(each)]
    for kind in (*kinds, EmbedItem, ClassifyItem, ReconstructItem):
        assert not [each.name for each in fields(kind) if each.name.startswith("_")]


# In Redis


@pytest.fixture
def url(redis: Client, redis_server: EmbeddedRedis) -> str:  # noqa: F811
    return redis_server.url


def answer_keys(redis: Client) -> list[Any]:  # noqa: F811
    return [key for key in redis.keys(PREFIX + b"*") if key not in (INDEX, TOTAL)]


def test_servers_share_a_redis(run: Callable[..., Any], url: str, redis: Client) -> None:  # noqa: F811
    async def fill(inference: Inference, fake: FakeObjective) -> list[Any]:
        return await ask(inference, ["a b", "c"])

    async def read(inference: Inference, fake: FakeObjective) -> list[Any]:
        client = Recorder()
        results = await ask(inference, ["c", "a b", "d"], client=client)
        assert client.noted == [(2, 3)]
        assert inference.answers.cache is not None
        assert inference.answers.cache.size.answers == 3
        return results

    settings = {"cache": "redis", "cache_redis_url": url}
    first, second = run(fill, **settings), run(read, **settings)
    assert equal(second[:2], first[::-1])
    assert all(0 < redis.ttl(key) <= 7 * 86400 for key in answer_keys(redis))


def test_garbage_in_redis_is_computed_again(run: Callable[..., Any], url: str, redis: Client) -> None:  # noqa: F811
    async def main(inference: Inference, fake: FakeObjective) -> None:
        (good,) = await ask(inference, ["a"])
        (key,) = answer_keys(redis)
        value = redis.get(key)
        for garbage in (b"", b"x" * 100, value[:-1], value + b"x"):
            redis.set(key, garbage)
            client = Recorder()
            (again,) = await ask(inference, ["a"], client=client)
            assert client.noted == [(0, 1)]
            assert equal(again, good)
        redis.delete(key)
        redis.rpush(key, "a list")
        assert equal((await ask(inference, ["a"]))[0], good)

    run(main, cache="redis", cache_redis_url=url)


def test_a_redis_holds_no_more_than_its_bound(url: str, redis: Client) -> None:  # noqa: F811
    async def main() -> None:
        cache = RedisCache(url, max_bytes=3 * 1400, seconds=100)
        for name in (b"a", b"b", b"c"):
            await cache.write({name: bytes(1000)})
        await cache.read([b"a"])
        await cache.write({b"d": bytes(1000), b"a": bytes(1000)})
        assert sorted(await cache.read([b"a", b"b", b"c", b"d"])) == [b"a", b"c", b"d"]
        assert cache.size.answers == 3
        redis.delete(INDEX)  # as a Redis with a bound of its own may
        await cache.write({name.encode(): bytes(1000) for name in "efghijk"})
        assert cache.size.bytes <= 3 * 1400
        assert cache.failures == 0
        await cache.close()

    asyncio.run(main())


def test_a_redis_that_is_away_fails_no_request(run: Callable[..., Any], tmp_path: Path) -> None:
    async def main(inference: Inference, fake: FakeObjective) -> None:
        client = Recorder()
        for _ in range(3):
            assert [each.tokens for each in await ask(inference, ["a"], client=client)] == [1]
        assert client.noted == [(0, 1)] * 3
        assert inference.answers.cache is not None
        assert inference.answers.cache.failures == 1  # it is not asked again at once

    run(main, cache="redis", cache_redis_url=f"unix://{tmp_path}/none.sock")


def test_a_redis_that_is_back_is_asked_again(url: str, redis: Client) -> None:  # noqa: F811
    async def main() -> None:
        clock = Clock()
        cache = RedisCache(url, max_bytes=10_000, seconds=100, clock=clock)
        await cache.write({b"a": b"1"})
        redis.config_set("maxclients", 1)
        try:
            other = RedisCache(url, max_bytes=10_000, seconds=100, clock=clock)
            assert await other.read([b"a"]) == {}
            assert other.failures == 1
        finally:
            redis.config_set("maxclients", 1000)
        assert await other.read([b"a"]) == {}
        clock.now += 6
        assert await other.read([b"a"]) == {b"a": b"1"}
        await cache.close()
        await other.close()

    asyncio.run(main())
