"""The client: a process of its own, N connections kept open, each asks again once it is answered.

Reads one JSON object from standard input: port, path, bodies (a file of JSON lines), clients, warm, seconds.
Writes one: requests, failures, seconds, latencies in ms at several quantiles, cpu (share of a core that
this client itself took). Written by hand on asyncio's protocols, so that it is far from being the bottleneck.
"""

import asyncio
import json
import resource
import sys
import time
from pathlib import Path

import uvloop

QUANTILES = (50, 90, 99)


class Connection(asyncio.Protocol):
    def __init__(self, load: "Load", number: int) -> None:
        self.load, self.number = load, number
        self.buffer = bytearray()
        self.length = -1  # of the answer that is being read; -1: its head is not here yet

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.ask()

    def ask(self) -> None:
        self.asked = time.perf_counter()
        self.transport.write(self.load.requests[self.number % len(self.load.requests)])  # type: ignore[attr-defined]
        self.number += self.load.clients

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if self.length < 0:
            head = self.buffer.find(b"\r\n\r\n")
            if head < 0:
                return
            lines = bytes(self.buffer[:head]).lower().split(b"\r\n")
            self.ok = lines[0].split()[1] == b"200"
            size = next(int(line[15:]) for line in lines if line.startswith(b"content-length:"))
            self.length = head + 4 + size
        if len(self.buffer) >= self.length:
            del self.buffer[: self.length]
            self.length = -1
            self.load.answered(self.asked, self.ok)
            if not self.load.over:
                self.ask()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.load.over:
            self.load.failures += 1


class Load:
    def __init__(self, job: dict) -> None:
        head = "POST {} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n"
        bodies = Path(job["bodies"]).read_bytes().splitlines()
        self.requests = [head.format(job["path"], len(body)).encode() + body for body in bodies]
        self.clients, self.port = job["clients"], job["port"]
        self.warm, self.seconds = job["warm"], job["seconds"]
        self.latencies: list[float] = []
        self.failures = 0
        self.over = False
        self.measured_from = float("inf")

    def answered(self, asked: float, ok: bool) -> None:
        now = time.perf_counter()
        if self.over or now < self.measured_from:
            return
        if ok:
            self.latencies.append(now - asked)
        else:
            self.failures += 1

    async def run(self) -> dict:
        loop = asyncio.get_running_loop()
        for number in range(self.clients):
            await loop.create_connection(lambda number=number: Connection(self, number), "127.0.0.1", self.port)
        await asyncio.sleep(self.warm)
        start, cpu = time.perf_counter(), cpu_seconds()
        self.measured_from = start
        await asyncio.sleep(self.seconds)
        self.over = True
        spent, took = cpu_seconds() - cpu, time.perf_counter() - start
        waited = sorted(self.latencies)
        at = {q: 1000 * waited[min(len(waited) - 1, len(waited) * q // 100)] for q in QUANTILES} if waited else {}
        return {"requests": len(waited), "failures": self.failures, "seconds": took, "ms": at, "cpu": spent / took}


def cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    print(json.dumps(uvloop.run(Load(json.load(sys.stdin)).run())))
