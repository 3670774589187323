"""Sends requests on many more connections than the queue has places; each client comes back when it is told to.

Right: what is refused is refused at once (429), the server answers as many requests as without the crowd, and a
request that needs no inference is quick. Some time after, memory is near its beginning again.

python -m benchmarks.adversary.overload [--clients 1000] [--places 200] [--seconds 20]
"""

import argparse
import asyncio
import json
import time
from collections import Counter

import numpy as np

from benchmarks.adversary.common import Neighbour, Server

TEXT = "A plane is taking off while two people watch it from the side of the road. " * 3
BODY = json.dumps({"input": [TEXT] * 4}).encode()
REQUEST = (
    b"POST /v1/embeddings HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(BODY), BODY)
)

SETTLING = 30.0  # seconds until memory is read again


async def client(port: int, until: float, times: dict[int, list[float]], pauses: Counter[int]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**22)
    try:
        while time.monotonic() < until:
            started = time.monotonic()
            writer.write(REQUEST)
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
            await reader.readexactly(length)
            status = int(head.split()[1])
            times.setdefault(status, []).append(time.monotonic() - started)
            if status != 200:
                pause = int(head.partition("retry-after: ")[2].partition("\r\n")[0] or 1)
                pauses[pause] += 1
                await asyncio.sleep(min(pause, until - time.monotonic() + 0.01))
    finally:
        writer.close()


async def crowd(port: int, count: int, seconds: float) -> tuple[dict[int, list[float]], Counter[int], Counter[str]]:
    times: dict[int, list[float]] = {}
    pauses: Counter[int] = Counter()
    until = time.monotonic() + seconds
    ends = await asyncio.gather(*(client(port, until, times, pauses) for _ in range(count)), return_exceptions=True)
    return times, pauses, Counter(type(end).__name__ for end in ends if end is not None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--places", type=int, default=200, help="CLOZE_MAX_QUEUED_INPUTS")
    parser.add_argument("--seconds", type=float, default=20)
    options = parser.parse_args()
    with Server({"CLOZE_MAX_QUEUED_INPUTS": str(options.places)}) as server:
        before = server.memory()
        with Neighbour(server.url, "/v1/models", body={}) as neighbour:
            times, pauses, failures = asyncio.run(crowd(server.port, options.clients, options.seconds))
        for status, seconds in sorted(times.items()):
            p50, p99 = np.percentile(np.array(seconds) * 1000, [50, 99])
            print(f"{status}: {len(seconds) / options.seconds:.0f} a second, p50 {p50:.0f} ms, p99 {p99:.0f} ms")
        print(f"Retry-After: {dict(sorted(pauses.items()))}; broken connections: {dict(failures)}")
        print(f"neighbour, GET /v1/models: {neighbour.summary()}", flush=True)
        time.sleep(SETTLING)
        print(f"memory before and {SETTLING:.0f} s after: {before / 2**20:.0f}, {server.memory() / 2**20:.0f} MiB")


if __name__ == "__main__":
    main()
