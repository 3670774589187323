"""Parts that the attacks share: a server of their own, and another user whose requests are timed meanwhile."""

import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import httpx
import numpy as np

from benchmarks.service import free_port, processes

ROOT = Path(__file__).parents[2]
START_SECONDS = 120.0


class Server:
    """`cloze serve` with the shipped models, in a folder of its own that is deleted at the end."""

    def __init__(self, environment: Mapping[str, str] | None = None, *, var_dir: Path | None = None) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="cloze-adversary-"))
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = self.folder / "server.log"
        store = self.folder / "store"
        shutil.copytree(ROOT / "model_store", store)  # an attack may delete models
        own = {
            "CLOZE_PORT": str(self.port),
            "CLOZE_VAR_DIR": str(var_dir or self.folder / "var"),
            "CLOZE_MODEL_STORE": str(store),
        }
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "app.cli", "serve"],
                env={**os.environ, **own, **(environment or {})},
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def __enter__(self) -> Self:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                if httpx.get(f"{self.url}/ready").status_code == 200:
                    return self
            except httpx.TransportError:
                pass
            time.sleep(0.2)
        self.stop()
        raise RuntimeError(f"the server did not start:\n{self.tail()}")

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def memory(self) -> int:
        """Resident bytes of the server and of all processes that it started."""
        children: dict[int, list[int]] = {}
        for pid, parent, _ in processes():
            children.setdefault(parent, []).append(pid)
        found, waiting = 0, [self.process.pid]
        while waiting:
            pid = waiting.pop()
            waiting += children.get(pid, [])
            try:
                pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue  # it has ended
            found += pages * os.sysconf("SC_PAGE_SIZE")
        return found

    def upload(self, name: str, content: bytes) -> str:
        """The id of the uploaded file."""
        answer = httpx.post(
            f"{self.url}/v1/files", data={"purpose": "fine-tune"}, files={"file": (name, content)}, timeout=120
        )
        return str(answer.raise_for_status().json()["id"])

    def tail(self, characters: int = 4000) -> str:
        """The end of the server's log."""
        return self.log.read_text(errors="replace")[-characters:]

    def stop(self, seconds: float = 60.0) -> float:
        """Asks the server to end; returns how long it took, in seconds. Kills it after `seconds`."""
        started = time.monotonic()
        if self.alive:
            self.process.terminate()
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        return time.monotonic() - started


class Neighbour:
    """Another user, who sends one request after another in a thread of its own; each is timed."""

    def __init__(
        self, url: str, path: str = "/v1/fill-mask", body: Any = None, *, pause: float = 0.02, timeout: float = 120.0
    ) -> None:
        self._url, self._pause, self._timeout = url + path, pause, timeout
        self._body = {"input": "The lions [MASK] the zebras."} if body is None else body
        self.seconds: list[float] = []
        self.failures: list[str] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(self._timeout)

    def _work(self) -> None:
        with httpx.Client(timeout=self._timeout) as client:
            while not self._over.is_set():
                started = time.monotonic()
                try:
                    answer = client.post(self._url, json=self._body) if self._body else client.get(self._url)
                    if answer.status_code != 200:
                        self.failures.append(str(answer.status_code))
                except httpx.TransportError as error:
                    self.failures.append(type(error).__name__)
                self.seconds.append(time.monotonic() - started)
                self._over.wait(self._pause)

    def summary(self) -> str:
        """Count, failures, p50, p99 and maximum in milliseconds."""
        if not self.seconds:
            return "no answers"
        p50, p99, most = np.percentile(np.array(self.seconds) * 1000, [50, 99, 100])
        failed = f", {len(self.failures)} failed ({', '.join(sorted(set(self.failures)))})" if self.failures else ""
        return f"{len(self.seconds)} answers{failed}; p50 {p50:.0f} ms, p99 {p99:.0f} ms, max {most:.0f} ms"
