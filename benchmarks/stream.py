"""A long stream of inputs through POST /v1/embeddings: python -m benchmarks.stream [--inputs 100000]

Starts `cloze serve` without workers, sends so many sentences as NDJSON over one connection while it
reads the answers, asks it single questions meanwhile, and prints inputs per second, how the server's
memory grew, and how long the single questions took. Linux: reads /proc.
"""

import argparse
import asyncio
import json
import random
import statistics
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from benchmarks.memory import Server, serving

_WORDS = [
    "the",
    "a",
    "lion",
    "zebra",
    "river",
    "of",
    "near",
    "runs",
    "sleeps",
    "over",
    "green",
    "old",
    "stone",
    "city",
    "by",
    "night",
    "water",
    "boils",
    "and",
    "then",
]


async def send(writer: asyncio.StreamWriter, inputs: int, words: int) -> None:
    rng = random.Random(0)
    for index in range(inputs):
        text = " ".join(rng.choices(_WORDS, k=rng.randint(1, 2 * words - 1)))
        line = json.dumps({"id": index, "input": text}).encode() + b"\n"
        writer.write(b"%x\r\n%s\r\n" % (len(line), line))
        await writer.drain()
    writer.write(b"0\r\n\r\n")


async def receive(reader: asyncio.StreamReader, inputs: int, server: Server, memory: list[float]) -> None:
    """Checks that all answers come in order; notes the server's own memory once in a hundredth of them."""
    expected = 0
    while expected < inputs:
        line = await reader.readline()
        if not line:
            raise RuntimeError(f"the stream ended after {expected} answers")
        if not line.startswith(b"{"):
            continue
        answer = json.loads(line)
        assert answer["id"] == answer["index"] == expected, line[:200]
        assert "embedding" in answer, line[:200]
        expected += 1
        if expected % max(1, inputs // 100) == 0:
            memory.append(server.memory()["RssAnon"])


async def ask(url: str, seconds: list[float]) -> None:
    async with httpx.AsyncClient(base_url=url, timeout=60) as http:
        while True:
            started = time.perf_counter()
            (await http.post("/v1/embeddings", json={"input": "Water boils."})).raise_for_status()
            seconds.append(time.perf_counter() - started)
            await asyncio.sleep(0.2)


async def stream(server: Server, inputs: int, words: int) -> None:
    url = str(server.http.base_url)
    reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(url).port, limit=1 << 20)
    head = ["POST /v1/embeddings HTTP/1.1", "host: cloze", "content-type: application/x-ndjson"]
    writer.write("\r\n".join([*head, "transfer-encoding: chunked", "", ""]).encode())
    memory, seconds = [server.memory()["RssAnon"]], []
    asking = asyncio.create_task(ask(url, seconds))
    started = time.perf_counter()
    await asyncio.gather(send(writer, inputs, words), receive(reader, inputs, server, memory))
    took = time.perf_counter() - started
    asking.cancel()
    writer.close()
    tenth = max(1, len(memory) // 10)
    print(f"{inputs:,} inputs of {words} words on average: {took:,.1f} s, {inputs / took:,.1f} inputs/s")
    first, last = statistics.mean(memory[1 : 1 + tenth]), statistics.mean(memory[-tenth:])
    print(f"own memory: {memory[0]:,.1f} MiB before, {first:,.1f} in its first tenth, {last:,.1f} in its last")
    seconds.sort()
    print(f"{len(seconds)} single questions beside it: median {statistics.median(seconds) * 1000:,.0f} ms,", end="")
    print(f" at most {seconds[-1] * 1000:,.0f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--words", type=int, default=8)
    parser.add_argument("--store", type=Path, default=Path("model_store"))
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        (Path(temporary) / "store").symlink_to(args.store.resolve())
        with serving(Path(temporary)) as server:
            asyncio.run(stream(server, args.inputs, args.words))


if __name__ == "__main__":
    main()
