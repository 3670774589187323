"""Sends bodies of 16 MiB that lack their last byte, on many connections, and leaves them open.

Right: the memory of all bodies together is bounded (429 beyond it), a body that stands still is ended (408), other
users are answered, and memory is near its beginning again some time after.

python -m benchmarks.adversary.endless_bodies [--connections 100] [--hold 45] [--kind json|ndjson]
"""

import argparse
import asyncio
import time
from collections import Counter

from benchmarks.adversary.common import Neighbour, Server

SIZE = 16 * 2**20
TYPES = {"json": "application/json", "ndjson": "application/x-ndjson"}
SETTLING = 60.0  # seconds until memory is read again


async def send_body(port: int, kind: str, hold: float) -> str:
    """Returns the status line of the answer, or what became of the connection within `hold` seconds."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    lines = ["POST /v1/embeddings HTTP/1.1", "Host: 127.0.0.1", f"Content-Type: {TYPES[kind]}"]
    head = "\r\n".join([*lines, f"Content-Length: {SIZE}", "", ""])
    answer = asyncio.create_task(reader.readline())
    try:
        writer.write(head.encode())
        left = SIZE - 1
        while left > 0 and not answer.done():
            piece = b"a" * min(left, 2**20)
            writer.write(piece)
            left -= len(piece)
            await asyncio.wait_for(writer.drain(), hold)
        line = await asyncio.wait_for(answer, hold)
        if line.startswith(b"HTTP/1.1 200"):  # a stream of answers that has begun
            while await asyncio.wait_for(reader.read(65536), hold):
                pass
            return "stream ended by the server"
        return line.decode().strip() or "closed"
    except TimeoutError:
        return "still open"
    except OSError as error:
        return type(error).__name__
    finally:
        answer.cancel()
        writer.close()


async def attack(port: int, options: argparse.Namespace) -> Counter[str]:
    sending = (send_body(port, options.kind, options.hold) for _ in range(options.connections))
    return Counter(await asyncio.gather(*sending))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connections", type=int, default=100)
    parser.add_argument("--hold", type=float, default=45, help="seconds for which the connections stay open")
    parser.add_argument("--kind", choices=TYPES, default="json")
    options = parser.parse_args()
    with Server() as server:
        before, most = server.memory(), 0

        async def watch() -> None:
            nonlocal most
            while True:
                most = max(most, server.memory())
                await asyncio.sleep(0.5)

        async def both() -> Counter[str]:
            watching = asyncio.create_task(watch())
            outcomes = await attack(server.port, options)
            watching.cancel()
            return outcomes

        with Neighbour(server.url) as neighbour:
            outcomes = asyncio.run(both())
        print(f"{dict(outcomes)}; neighbour: {neighbour.summary()}", flush=True)
        time.sleep(SETTLING)
        figures = ", ".join(f"{size / 2**20:.0f}" for size in (before, most, server.memory()))
        print(f"memory before, at most, and {SETTLING:.0f} s after: {figures} MiB")


if __name__ == "__main__":
    main()
