"""Servers as processes of their own: started once, stopped in their tracks while another is measured."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import httpx
import psutil

from benchmarks.serving.systems import ROOT, System

_START = 240.0  # seconds until a server must answer
_QUIET = 0.05  # share of a core below which a server counts as idle


class Server:
    """One system in one dtype. `environment` is what all servers share: threads, folders."""

    def __init__(self, system: System, dtype: str, model: Path, folder: Path, environment: dict[str, str]) -> None:
        self.system, self.dtype, self._model, self._folder = system, dtype, model, folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        slug = f"{system.name}-{system.task}-{dtype}".replace(" ", "_")
        own = {"BENCH_MODEL": str(model), "BENCH_DTYPE": dtype, "CLOZE_PORT": str(self.port), "CLOZE_DTYPE": dtype}
        own |= {"CLOZE_VAR_DIR": str(folder / slug), "PYTHONPATH": str(ROOT)} | system.environment
        self._environment = os.environ | environment | own
        self._log = folder / f"{slug}.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        command = self.system.command(self._folder / "venvs", self._model, self.port, self.dtype)
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command, env=self._environment, cwd=ROOT, stdout=log, stderr=log, start_new_session=True
            )

    def wait(self) -> None:
        """Until it answers. Raises RuntimeError with the end of its log if it does not."""
        until = time.monotonic() + _START
        while time.monotonic() < until:
            assert self._process is not None
            if self._process.poll() is not None:
                break
            with contextlib.suppress(httpx.HTTPError):
                if self.system.ready is None:
                    self.ask(["a test"] if self.system.task == "embed" else ["a [MASK]."])
                    return
                if httpx.get(self.url + self.system.ready).status_code == 200:
                    return
            time.sleep(0.5)
        raise RuntimeError(f"{self.system.name} did not start:\n{self._log.read_text(errors='replace')[-2000:]}")

    def ask(self, texts: list[str]) -> list[Any]:
        """One answer a text."""
        body = json.dumps(self.system.body(texts))
        headers = {"content-type": "application/json"}
        answer = httpx.post(self.url + self.system.path, content=body, headers=headers, timeout=120)
        return self.system.read(answer.raise_for_status().json())

    def pause(self) -> None:
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def settle(self, seconds: float = 20.0) -> None:
        """Until what its last clients left behind is worked off; a server that goes on and on is started anew."""
        assert self._process is not None
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            before = self._cpu()
            time.sleep(0.3)
            if self._cpu() - before < 0.3 * _QUIET:
                return
        self.stop()
        self.start()
        self.wait()

    def memory(self) -> float:
        """Resident MiB of all its processes."""
        return sum(each.memory_info().rss for each in self._all()) / 2**20

    def stop(self) -> None:
        self.resume()
        children = self._all()
        if self._process is not None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(15)
        for each in children:
            with contextlib.suppress(psutil.Error):
                each.kill()
        if self._process is not None:
            self._process.wait()

    def _all(self) -> list[psutil.Process]:
        if self._process is None or self._process.poll() is not None:
            return []
        parent = psutil.Process(self._process.pid)
        return [parent, *parent.children(recursive=True)]

    def _cpu(self) -> float:
        return sum(sum(each.cpu_times()[:2]) for each in self._all())

    def _signal(self, number: int) -> None:
        for each in self._all():
            with contextlib.suppress(psutil.Error):
                each.send_signal(number)
