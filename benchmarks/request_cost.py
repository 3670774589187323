"""The cost of a request for embeddings beside the model: python -m benchmarks.request_cost [--requests 1500]

The whole application answers in this process, but for HTTP itself; the model's forward is left out. Prints
milliseconds a request, elapsed and of processor time, one after another and 16 at once.
"""

import argparse
import asyncio
import itertools
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from fastapi import FastAPI
from starlette.types import Message

from app.main import create_app
from app.modalities.text.embed import TextEmbed, TextEmbedBatch
from app.settings import Settings

TEXT = "A plane is taking off while two people watch it from the side of the road."


def no_forward(self: TextEmbed, batch: TextEmbedBatch) -> list[Any]:
    return [np.ones(384, np.float32)] * len(batch.inputs)


async def ask(app: FastAPI, body: bytes, path: str = "/v1/embeddings") -> int:
    """Sends a request to an application of this process, and returns the status of the answer."""
    messages = iter([{"type": "http.request", "body": body, "more_body": False}])
    over = asyncio.Event()
    status = 0

    async def receive() -> Message:
        for message in messages:
            return message
        await over.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        nonlocal status
        status = message.get("status", status)

    headers = {"host": "127.0.0.1:8000", "content-type": "application/json", "content-length": str(len(body))}
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "scheme": "http",
        "method": "POST",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8000),
    }
    await app(scope, receive, send)
    over.set()
    return status


async def measure(app: FastAPI, requests: int) -> None:
    numbers = itertools.count()

    async def client(count: int) -> None:
        for _ in range(count):
            # Equal inputs that wait at the same time are computed once: each request has a text of its own.
            body = json.dumps({"input": f"{TEXT} {next(numbers)}", "model": "cloze-text"}).encode()
            assert await ask(app, body) == 200

    async with app.router.lifespan_context(app):
        await client(300)
        for clients in (1, 16):
            began, spent = time.perf_counter(), time.process_time()
            await asyncio.gather(*(client(requests // clients) for _ in range(clients)))
            elapsed, spent = time.perf_counter() - began, time.process_time() - spent
            count = requests // clients * clients
            print(f"{clients} at once: {1000 * elapsed / count:.2f} ms, processor {1000 * spent / count:.2f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=1500)
    parser.add_argument("--store", type=Path, default=Path("model_store"))
    options = parser.parse_args()
    TextEmbed.run = no_forward  # type: ignore[method-assign]
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(var_dir=Path(folder), model_store=options.store, threads=1)
        asyncio.run(measure(create_app(settings), options.requests))


if __name__ == "__main__":
    main()
