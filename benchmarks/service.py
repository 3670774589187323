"""The whole service as processes of its own, kept alive: what the benchmarks that disturb it share."""

import os
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from app.jobs.connection import redis_server_binary
from app.store.store import ModelStore


@dataclass
class Part:
    """One process of the service, started again whenever it has ended."""

    name: str
    command: list[str]
    environment: dict[str, str]
    log: Path
    process: "subprocess.Popen[bytes] | None" = None

    def ensure(self) -> None:
        if self.process is None or self.process.poll() is not None:
            with self.log.open("ab") as log:
                self.process = subprocess.Popen(self.command, env=self.environment, stdout=log, stderr=log)

    def pids(self) -> list[int]:
        return [self.process.pid] if self.process is not None and self.process.poll() is None else []

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()


@dataclass
class Service:
    folder: Path
    workers: int
    parts: list[Part] = field(default_factory=list)

    def __post_init__(self) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.store = ModelStore(self.folder / "store")
        (self.folder / "redis").mkdir(parents=True)
        sock = self.folder / "redis" / "redis.sock"
        environment = os.environ | {
            "CLOZE_REDIS_URL": f"unix://{sock}",
            "CLOZE_VAR_DIR": str(self.folder / "var"),
            "CLOZE_MODEL_STORE": str(self.folder / "store"),
            "CLOZE_PORT": str(port),
            "CLOZE_THREADS": "1",
            "CLOZE_WORKER_THREADS": "1",
            "CLOZE_WORKER_NICE": "0",  # nothing else is measured meanwhile
        }
        redis = [redis_server_binary(), "--port", "0", "--unixsocket", str(sock), "--dir", str(sock.parent)]
        redis += ["--appendonly", "yes", "--appendfsync", "always", "--save", ""]
        self._add("redis", redis, environment)
        self._add("api", [sys.executable, "-m", "app.cli", "serve"], environment)
        for _ in range(self.workers):
            self._add("worker", [sys.executable, "-m", "app.worker"], environment)

    def _add(self, name: str, command: list[str], environment: dict[str, str]) -> None:
        log = self.folder / f"{name}-{len(self.parts)}.log"
        self.parts.append(Part(name, command, environment, log))

    def ensure(self) -> None:
        for part in self.parts:
            part.ensure()

    def pids(self, kind: str) -> list[int]:
        if kind != "trainer":
            return [pid for part in self.parts if part.name == kind for pid in part.pids()]
        workers = {pid for part in self.parts if part.name == "worker" for pid in part.pids()}
        return [pid for pid, parent, command in processes() if parent in workers and "app.worker.run_job" in command]

    def stop(self) -> None:
        for part in reversed(self.parts):
            part.stop()

    def ask(self, method: str, path: str, **options: Any) -> Any:
        """The answer's JSON, however often the server has to be asked. Raises on a 4xx."""
        while True:
            self.ensure()
            try:
                answer = httpx.request(method, self.url + path, timeout=30, **options)
            except httpx.TransportError:
                time.sleep(0.2)
                continue
            if answer.status_code < 500:
                return answer.raise_for_status().json()
            time.sleep(0.2)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def processes() -> list[tuple[int, int, list[str]]]:
    """(pid, parent, command line) of all that run."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            command = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended meanwhile
        found.append((int(folder.name), parent, command))
    return found
