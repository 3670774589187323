"""Following a job: against a real Redis, by many listeners, across its death."""

import asyncio
import threading
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from app.errors import InvalidValue, JobNotFound
from app.jobs.connection import Client, EmbeddedRedis, connect
from app.jobs.feed import EventFeed
from app.jobs.kinds import JobState
from app.jobs.spec import Job, JobEvent, Progress
from app.jobs.worker_queue import Claim
from tests.fakes.jobs import JobSystem, make_spec
from tests.fakes.redis import kill_redis

PATIENCE = 30.0  # seconds


@asynccontextmanager
async def running(url: str) -> AsyncIterator[EventFeed]:
    feed = EventFeed(url)
    await feed.start()
    try:
        yield feed
    finally:
        await feed.stop()


def within_patience(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(work, PATIENCE))


async def collect(feed: EventFeed, job_id: str, after: str | None = None) -> list[Any]:
    return [news async for news in feed.follow(job_id, after)]


def messages(news: list[Any]) -> list[str]:
    return [n.message for n in news if isinstance(n, JobEvent)]


def claimed(jobs: JobSystem, redis: Client) -> Claim:
    jobs.create(make_spec(redis))
    claim = jobs.queue.claim("w1", 60)
    assert claim
    return claim


def test_a_listener_gets_every_event_once_and_the_job_as_it_changes(redis: Client, redis_server: EmbeddedRedis) -> None:
    jobs = JobSystem(redis)
    claim = claimed(jobs, redis)

    async def listen() -> list[Any]:
        async with running(redis_server.url) as feed:
            found: list[Any] = []
            step = 0
            async for news in feed.follow(claim.job_id):
                found.append(news)
                if isinstance(news, Job) and step < 3:  # the next thing happens when the last one was heard of
                    step += 1
                    jobs.queue.append_event(claim, f"event {step}")
                    jobs.queue.set_progress(claim, Progress(step=step))
                elif isinstance(news, Job) and news.state is JobState.RUNNING:
                    jobs.queue.succeed(claim, "tiny@1")
            return found

    found = within_patience(listen())
    stored = jobs.events(claim.job_id, limit=100)[0]
    assert [n for n in found if isinstance(n, JobEvent)] == stored
    assert messages(found)[2:5] == ["event 1", "event 2", "event 3"]
    assert [n.progress.step for n in found if isinstance(n, Job)][:4] == [0, 1, 2, 3]
    assert found[-1].state is JobState.SUCCEEDED


def test_a_listener_goes_on_behind_its_last_event(redis: Client, redis_server: EmbeddedRedis) -> None:
    jobs = JobSystem(redis)
    claim = claimed(jobs, redis)
    for n in range(450):  # more than two batches
        jobs.queue.append_event(claim, f"event {n}")
    jobs.queue.succeed(claim, "tiny@1")
    stored = jobs.events(claim.job_id, limit=1000)[0]

    async def listen() -> tuple[list[Any], list[Any]]:
        async with running(redis_server.url) as feed:
            whole = await collect(feed, claim.job_id)
            rest = await collect(feed, claim.job_id, stored[100].id)
            assert feed.listeners == 0
            return whole, rest

    whole, rest = within_patience(listen())
    assert whole[:-1] == stored
    assert rest[:-1] == stored[101:]


def test_many_listeners_share_the_connections_and_no_thread(redis: Client, redis_server: EmbeddedRedis) -> None:
    jobs = JobSystem(redis)
    claim = claimed(jobs, redis)

    async def listen() -> list[list[Any]]:
        async with running(redis_server.url) as feed:
            threads = threading.active_count()
            tasks = [asyncio.create_task(collect(feed, claim.job_id)) for _ in range(300)]
            while feed.listeners < 300:
                await asyncio.sleep(0)
            assert threading.active_count() == threads
            assert redis.info("clients")["connected_clients"] < 25
            jobs.queue.append_event(claim, "heard by all")
            jobs.queue.succeed(claim, "tiny@1")
            return await asyncio.gather(*tasks)

    heard = within_patience(listen())
    assert len({tuple(messages(each)) for each in heard}) == 1
    assert "heard by all" in messages(heard[0])


def test_silence_is_broken_by_heartbeats(redis: Client, redis_server: EmbeddedRedis) -> None:
    job = JobSystem(redis).create(make_spec(redis))

    async def listen() -> list[Any]:
        async with running(redis_server.url) as feed:
            found: list[Any] = []
            async for news in feed.follow(job.id, heartbeat=0.01):
                found.append(news)
                if found[-2:] == [None, None]:
                    feed.end()
            return found

    assert [type(n) for n in within_patience(listen())] == [JobEvent, Job, type(None), type(None)]


def test_following_outlives_a_killed_redis(tmp_path: Path) -> None:
    """Redis dies and comes back with its data; nothing is missed, nothing is given twice."""
    server = EmbeddedRedis(tmp_path)
    server.start()
    claim = None

    async def listen() -> list[Any]:
        async with running(server.url) as feed:
            found: list[Any] = []
            async for news in feed.follow(claim.job_id):
                found.append(news)
                if isinstance(news, Job) and len(found) < 5:
                    await asyncio.to_thread(kill_redis, server)
                elif news is None and not server.alive:
                    server.stop()
                    server.start()  # in this thread: the kernel ends a child with the thread that started it
                    with connect(server.url) as client:
                        again = JobSystem(client)
                        again.queue.append_event(claim, "after the restart")
                        again.queue.succeed(claim, "tiny@1")
            return found

    try:
        with connect(server.url) as client:
            claim = claimed(JobSystem(client), client)
        found = within_patience(listen())
        with connect(server.url) as client:
            assert [n for n in found if isinstance(n, JobEvent)] == JobSystem(client).events(claim.job_id)[0]
        assert "after the restart" in messages(found)
    finally:
        server.stop()


def test_it_stops_at_whatever_moment(redis_server: EmbeddedRedis) -> None:
    """Also within the first round trips, where one cancellation may be swallowed."""

    async def start_and_stop() -> None:
        for rounds in range(40):
            async with running(redis_server.url):
                for _ in range(rounds):
                    await asyncio.sleep(0)

    within_patience(start_and_stop())


@pytest.mark.parametrize(
    ("job_id", "after", "error"),
    [("ftjob-0", None, JobNotFound), ("ftjob-0", "ftevent-1-1-0", InvalidValue)],
)
def test_what_cannot_be_followed(
    redis_server: EmbeddedRedis, job_id: str, after: str | None, error: type[Exception]
) -> None:
    async def listen() -> None:
        async with running(redis_server.url) as feed:
            await collect(feed, job_id, after)

    with pytest.raises(error):
        within_patience(listen())
