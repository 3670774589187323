"""One user with a lot of honest work: streams of long lines, a request of 2,048 texts, large answers.

Right: another user's fill-mask waits for a batch or two of theirs, not for all their work. Each attack lasts some
seconds; its own rate is told, so that what the neighbour gains is not lost elsewhere.
"""

import contextlib
import itertools
import json
import socket
import threading
import time
from collections.abc import Callable

import httpx

from benchmarks.adversary.common import Neighbour, Server

SECONDS = 12.0
WORDS = [
    "the",
    "lions",
    "hunt",
    "a",
    "zebra",
    "in",
    "the",
    "tall",
    "grass",
    "of",
    "a",
    "wide",
    "savanna",
    "while",
    "it",
    "rains",
]


def words(count: int) -> str:
    return " ".join(itertools.islice(itertools.cycle(WORDS), count))


class Load:
    """Runs `work` on threads of their own until it is over; `done` counts inputs answered."""

    def __init__(self, work: Callable[["Load"], None], threads: int = 1) -> None:
        self.over, self.done = threading.Event(), 0
        self._threads = [threading.Thread(target=work, args=(self,), daemon=True) for _ in range(threads)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()


def stream(server: Server, path: str, line: str, *, read: bool = True) -> Callable[[Load], None]:
    """Lines are sent for as long as the server takes them, while answers are read beside that, or not at all."""
    content = json.dumps(line).encode() + b"\n"
    chunk = b"%x\r\n%s\r\n" % (len(content), content)
    head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-ndjson\r\n"

    def send(load: Load, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            connection.sendall(f"{head}transfer-encoding: chunked\r\n\r\n".encode())
            while not load.over.is_set():
                connection.sendall(chunk)

    def work(load: Load) -> None:
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            threading.Thread(target=send, args=(load, connection), daemon=True).start()
            while not load.over.is_set():
                if read:
                    load.done += connection.recv(1 << 20).count(b'"index":')
                else:
                    load.over.wait(0.1)

    return work


def requests(server: Server, path: str, body: dict[str, object], count: int) -> Callable[[Load], None]:
    def work(load: Load) -> None:
        with contextlib.suppress(httpx.TransportError), httpx.Client(timeout=120) as client:
            while not load.over.is_set():
                if client.post(server.url + path, json=body).status_code == 200:
                    load.done += count

    return work


def attacks(server: Server) -> dict[str, Load]:
    long, embeddings, fill = words(250), "/v1/embeddings", "/v1/fill-mask"
    texts = [words(120)] * 2048
    cut = ["word " * 1500] * 2040
    many = {"input": " ".join(["[MASK] lion"] * 64) + " " + words(30), "top_k": 1000}
    return {
        "1 stream of 10 words": Load(stream(server, embeddings, words(10))),
        "1 stream of 250 words": Load(stream(server, embeddings, long)),
        "4 streams of 250 words": Load(stream(server, embeddings, long), threads=4),
        "4 streams, answers unread": Load(stream(server, f"{fill}?top_k=1000", f"{words(20)} [MASK]", read=False), 4),
        "a request of 2,048 x 120 words": Load(requests(server, embeddings, {"input": texts}, 2048)),
        "a request of 2,040 x 7,500 characters": Load(
            requests(server, embeddings, {"input": cut, "truncate": True}, 2040)
        ),
        "20 users of 64 masks, top_k 1000": Load(requests(server, fill, many, 1), threads=20),
    }


def main() -> None:
    with Server() as server:
        with Neighbour(server.url) as idle:
            time.sleep(5)
        print(f"idle: {idle.summary()}", flush=True)
        for name, load in attacks(server).items():
            with load:
                time.sleep(1.0)
                before = load.done
                with Neighbour(server.url) as beside:
                    time.sleep(SECONDS)
                    rate = (load.done - before) / SECONDS
                    load.over.set()
            print(
                f"{name}: {rate:.1f} inputs/s; {server.memory() / 1e6:.0f} MB\n  beside: {beside.summary()}", flush=True
            )
            wait_until_idle(server)


def wait_until_idle(server: Server, seconds: float = 240.0) -> None:
    """The next attack begins once the last one's work is done."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        started = time.monotonic()
        httpx.post(f"{server.url}/v1/fill-mask", json={"input": "a [MASK]"}, timeout=240)
        if time.monotonic() - started < 0.3:
            return
        time.sleep(0.5)


if __name__ == "__main__":
    main()
