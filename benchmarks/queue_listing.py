"""How long it takes to list a long queue: python -m benchmarks.queue_listing [--jobs 10000]

Queues so many jobs in a private Redis, and asks the application in this process for pages of them.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from pathlib import Path

import httpx

from app.jobs.connection import EmbeddedRedis, connect
from app.jobs.jobs import Jobs
from app.main import create_app
from app.settings import Settings
from tests.fakes.jobs import make_spec

_PATH = "/v1/pretraining/jobs"
_ROUNDS = 30


async def measure(http: httpx.AsyncClient, what: str, **params: str | int) -> None:
    seconds = []
    for _ in range(_ROUNDS):
        started = time.perf_counter()
        answer = (await http.get(_PATH, params=params)).raise_for_status().json()
        seconds.append(time.perf_counter() - started)
    seconds.sort()
    median = statistics.median(seconds) * 1000
    print(f"| {what} | {len(answer['data'])} | {median:,.1f} | {seconds[0] * 1000:,.1f} | {seconds[-1] * 1000:,.1f} |")


async def pages(http: httpx.AsyncClient, jobs: int) -> None:
    middle = (await http.get(_PATH, params={"limit": 100})).json()["data"][-1]["id"]
    print("| Listed | Jobs | Milliseconds (median) | least | most |\n| --- | --- | --- | --- | --- |")
    await measure(http, "the newest 20", limit=20)
    await measure(http, "the newest 100", limit=100)
    await measure(http, "100 behind them", limit=100, after=middle)
    await measure(http, "100 of the half with `metadata[half]=1`", limit=100, **{"metadata[half]": "1"})
    await measure(http, f"the {jobs // 1000} with `metadata[rare]=1`", limit=100, **{"metadata[rare]": "1"})
    await measure(http, "none: `metadata[absent]=1`", limit=100, **{"metadata[absent]": "1"})


async def run(folder: Path, redis_url: str, jobs: int) -> None:
    settings = Settings(var_dir=folder, model_store=folder / "store", redis_url=redis_url)
    app = create_app(settings)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://cloze", timeout=300) as http,
    ):
        await pages(http, jobs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=10_000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary, EmbeddedRedis(Path(temporary)) as server:
        with connect(server.url) as redis:
            store = Jobs(redis)
            started = time.perf_counter()
            for number in range(args.jobs):
                rare = {"rare": "1"} if number % 1000 == 0 else {}
                store.create(make_spec(redis, metadata={"half": str(number % 2), **rare}))
            seconds = time.perf_counter() - started
        print(f"{args.jobs:,} jobs queued in {seconds:,.1f} s, {1000 * seconds / args.jobs:.2f} ms each\n")
        asyncio.run(run(Path(temporary), server.url, args.jobs))


if __name__ == "__main__":
    main()
