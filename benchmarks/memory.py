"""The memory of starting and of models: python -m benchmarks.memory [--models 20] [--budget-models 5]

Starts `cloze serve` without workers on a store of so many copies of a model, and prints the seconds
until it is ready and has answered, its resident memory with 1, 2, … models, after they are unloaded,
and while all of them take turns under a budget that holds only some. Linux: reads /proc.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from app.store.store import ModelStore
from benchmarks.service import free_port

_MIB = 1024 * 1024


@dataclass
class Server:
    process: "subprocess.Popen[bytes]"
    http: httpx.Client
    ready: float  # seconds from its start
    answered: float
    busy: float  # of them, what it took of processors

    def post(self, path: str, body: dict[str, Any] | None = None) -> Any:
        return self.http.post(path, json=body).raise_for_status().json()

    def memory(self) -> dict[str, float]:
        """MiB: all of it, what is its own, and what is mapped from files, which the kernel can drop at will."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        fields = dict(line.split(":", 1) for line in lines)
        return {key: int(fields[key].split()[0]) / 1024 for key in ("VmRSS", "RssAnon", "RssFile")}


@contextmanager
def serving(folder: Path, **settings: str) -> Iterator[Server]:
    port = free_port()
    environment = os.environ | {
        "CLOZE_PORT": str(port),
        "CLOZE_WORKERS": "0",
        "CLOZE_VAR_DIR": str(folder / "var"),
        "CLOZE_MODEL_STORE": str(folder / "store"),
        **settings,
    }
    started = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "app.cli", "serve"], env=environment, stdout=subprocess.DEVNULL)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=300) as http:
            while True:
                try:
                    if http.get("/ready").is_success:
                        break
                except httpx.TransportError:
                    pass
                if process.poll() is not None:
                    raise RuntimeError("the server has ended; start it alone to see why")
                time.sleep(0.02)
            ready = time.perf_counter() - started
            http.post("/v1/embeddings", json={"input": "Water boils."}).raise_for_status()
            answered = time.perf_counter() - started
            ticks = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
            yield Server(process, http, ready, answered, sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK"))
    finally:
        process.terminate()
        process.wait()


def make_store(folder: Path, model: str, source: Path, count: int) -> list[str]:
    entry = ModelStore(source).resolve(model)
    names = [f"model-{number:02}" for number in range(count)]
    for name in names:
        shutil.copytree(entry.path, folder / "store" / name / "1")
    return names


def row(*cells: object) -> None:
    print("| " + " | ".join(f"{cell:,.1f}" if isinstance(cell, float) else str(cell) for cell in cells) + " |")


def report(server: Server, what: str) -> dict[str, float]:
    memory = server.memory()
    row(what, *memory.values())
    return memory


def without_budget(folder: Path, names: list[str]) -> None:
    with serving(folder, CLOZE_MAX_LOADED_MODELS=str(len(names))) as server:
        print(f"ready after {server.ready:.2f} s, first answer after {server.answered:.2f} s")
        print(f"of which processor {server.busy:.2f} s\n")
        row("models", "resident MiB", "own", "mapped from files")
        row("---", "---", "---", "---")
        first = report(server, "1")
        seconds = []
        for number, name in enumerate(names[1:], 2):
            started = time.perf_counter()
            server.post("/v1/embeddings", {"input": "Water boils.", "model": name})
            seconds.append(time.perf_counter() - started)
            if number in (2, 5, 10, len(names)):
                last = report(server, str(number))
        for name in names:
            server.post(f"/v1/models/{name}/unload")
        report(server, "0, all unloaded")
        weights = server.post(f"/v1/models/{names[0]}/load")["memory_bytes"] / _MIB
        report(server, "1, again")
        each = {key: (last[key] - first[key]) / (len(names) - 1) for key in last}
        print(
            f"\na model: {weights:.1f} MiB of weights; resident {each['VmRSS']:.1f}, own {each['RssAnon']:.1f},", end=""
        )
        print(f" mapped {each['RssFile']:.1f} MiB; loaded and answered in {sorted(seconds)[len(seconds) // 2]:.2f} s")


def with_budget(folder: Path, names: list[str], held: int) -> None:
    size = (folder / "store" / names[0] / "1" / "model.safetensors").stat().st_size
    budget = {"CLOZE_MODEL_MEMORY_BYTES": str(int(size * (held + 0.5))), "CLOZE_MAX_LOADED_MODELS": "1000"}
    with serving(folder, **budget) as server:
        seconds, most = [], 0.0
        for _ in range(2):
            for name in names:
                started = time.perf_counter()
                server.post("/v1/embeddings", {"input": "Water boils.", "model": name})
                seconds.append(time.perf_counter() - started)
                most = max(most, server.memory()["VmRSS"])
        loaded = sum(model["loaded"] for model in server.http.get("/v1/models").json()["data"])
        median = sorted(seconds)[len(seconds) // 2]
        print(f"\nbudget of {held} files: {len(names)} models twice in turn, each answer with a load, {median:.2f} s;")
        print(f"at most {most:,.1f} MiB resident; {loaded} loaded at the end")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="cloze-text")
    parser.add_argument("--store", type=Path, default=Path("model_store"))
    parser.add_argument("--models", type=int, default=20)
    parser.add_argument("--budget-models", type=int, default=5)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        names = make_store(Path(temporary), args.model, args.store, args.models)
        without_budget(Path(temporary), names)
        with_budget(Path(temporary), names, args.budget_models)


if __name__ == "__main__":
    main()
