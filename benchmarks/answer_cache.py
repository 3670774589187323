"""Measures answers from the cache: python -m benchmarks.answer_cache TEXTS [--model MODEL]

Embeds the lines of the file TEXTS with `cloze serve`, in requests of 64, three times over: once computed, then from
the cache. Does so without a cache, with `memory` and with `redis`. Prints inputs a second of the first pass and of the
last one.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from app.jobs.connection import redis_server_binary
from benchmarks.guides import wait_for
from benchmarks.service import free_port

BATCH = 64
PASSES = 3


@contextmanager
def serve(folder: Path, cache: str) -> Iterator[httpx.Client]:
    """Runs a server with a cache, and a Redis for it if the cache is in one."""
    port, sock = free_port(), folder / "cache.sock"
    environment = os.environ | {
        "CLOZE_PORT": str(port),
        "CLOZE_VAR_DIR": str(folder / "var"),
        "CLOZE_WORKERS": "0",
        "CLOZE_CACHE": cache,
        "CLOZE_CACHE_REDIS_URL": f"unix://{sock}",
    }
    commands = [[sys.executable, "-m", "app.cli", "serve"]]
    if cache == "redis":
        commands.append([redis_server_binary(), "--port", "0", "--unixsocket", str(sock), "--save", ""])
    with (folder / "server.log").open("wb") as log:
        parts = [subprocess.Popen(each, env=environment, stdout=log, stderr=log) for each in commands]
        try:
            wait_for(f"http://127.0.0.1:{port}", parts[0])
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=300) as client:
                yield client
        finally:
            for part in parts:
                part.terminate()
                part.wait(60)


def embed(client: httpx.Client, model: str, texts: list[str]) -> float:
    """Embeds all texts. Returns inputs a second."""
    begin = time.perf_counter()
    for start in range(0, len(texts), BATCH):
        body = {"model": model, "input": texts[start : start + BATCH], "encoding_format": "base64"}
        client.post("/v1/embeddings", json=body).raise_for_status()
    return len(texts) / (time.perf_counter() - begin)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", type=Path)
    parser.add_argument("--model", default="cloze-text")
    given = parser.parse_args()
    texts = [line for line in given.texts.read_text(encoding="utf-8").splitlines() if line.strip()]
    print(f"{len(texts)} texts, {len(set(texts))} different ones")
    for cache in ("off", "memory", "redis"):
        with tempfile.TemporaryDirectory() as folder, serve(Path(folder), cache) as client:
            embed(client, given.model, ["warm up"])
            rates = [embed(client, given.model, texts) for _ in range(PASSES)]
            print(
                f"{cache:7} {rates[0]:8.0f} → {rates[-1]:8.0f} inputs/s, {rates[-1] / rates[0]:.1f} times", flush=True
            )


if __name__ == "__main__":
    main()
