"""The serving sections: every cell of the grid, by every system in turns, and what it all means."""

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.options import Options
from benchmarks.report import write_section
from benchmarks.serving import systems, workload
from benchmarks.serving.servers import Server
from benchmarks.serving.summary import Cell, Findings, render
from benchmarks.serving.systems import ROOT, System

CHECKED = 48  # texts that every system answers, to be compared
_WARM = 1.0  # seconds


@dataclass
class Bench:
    options: Options
    task: str
    folder: Path
    model: Path
    texts: dict[str, list[str]]
    servers: list[Server] = field(default_factory=list)

    @property
    def cells(self) -> list[Cell]:
        if self.options.quick:
            return [Cell("mixed", 1, clients) for clients in (1, 64)]
        return [Cell(kind, each, n) for kind in workload.LENGTHS for each in self.options.each for n in (1, 8, 64, 256)]

    def run(self) -> Findings:
        found = Findings(self.task)
        self._start()
        try:
            self._check(found)
            for number in range(self.options.rounds):
                for dtype in self.options.dtypes:
                    found.add_offline(dtype, self._offline(dtype))
                for cell in self.cells:
                    order = self.servers if number % 2 == 0 else self.servers[::-1]
                    for server in order:
                        found.add(server.system.name, server.dtype, cell, self._measure(server, cell))
        finally:
            for server in self.servers:
                server.stop()
        return found

    def _start(self) -> None:
        for server in self.servers:
            server.start()
            server.wait()
            print(f"{server.system.name} in {server.dtype} answers; {server.memory():.0f} MiB", flush=True)
            server.pause()

    def _check(self, found: Findings) -> None:
        """Answers of all systems to the same texts, alone and together, against the first peer's in float32."""
        texts = self.texts["mixed"][:CHECKED]
        answers: dict[tuple[str, str], Any] = {}
        for server in self.servers:
            server.resume()
            alone = [server.ask([text])[0] for text in texts[: CHECKED // 3]]
            together = server.ask(texts)
            answers[server.system.name, server.dtype] = together
            found.add_batched(server.system.name, server.dtype, self._agreement(alone, together[: len(alone)]))
            found.memory[server.system.name, server.dtype] = server.memory()
            server.pause()
        peers = [key for key in answers if key[0] != "Cloze" and key[1] == "float32"]
        found.reference = peers[0] if peers else next(iter(answers))
        reference = answers[found.reference]
        for (name, dtype), given in answers.items():
            found.add_agreement(name, dtype, self._agreement(given, reference))

    def _agreement(self, one: list[Any], other: list[Any]) -> float:
        """The smallest cosine, or the share of equal first tokens."""
        if self.task == "fill":
            return float(np.mean([a[0] == b[0] for a, b in zip(one, other, strict=True)]))
        a, b = np.asarray(one), np.asarray(other)
        return float(((a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)).min())

    def _measure(self, server: Server, cell: Cell) -> dict[str, Any]:
        bodies = self.folder / "bodies.jsonl"
        workload.write_bodies(bodies, self.texts[cell.kind], cell.each, server.system.body)
        job = {"port": server.port, "path": server.system.path, "bodies": str(bodies), "clients": cell.clients}
        job |= {"warm": _WARM, "seconds": self.options.seconds}
        server.resume()
        measured = ask_module("benchmarks.serving.load", job)
        if cell.clients * cell.each > 64 or cell.clients > 1:
            server.settle()
        server.pause()
        rate = measured["requests"] / measured["seconds"]
        print(
            f"{server.system.name:32} {server.dtype:9} {cell}: {rate:7.1f} requests/s, "
            f"p99 {measured['ms'].get('99', float('nan')):7.1f} ms, client {measured['cpu']:.0%}",
            flush=True,
        )
        return measured

    def _offline(self, dtype: str) -> dict[str, Any]:
        job = {"model": str(self.model), "task": self.task, "dtype": dtype, "threads": self.options.threads}
        return ask_module("benchmarks.serving.offline", job | {"texts": self.texts["mixed"][:256]}, self.options)


def ask_module(module: str, job: dict[str, Any], options: Options | None = None) -> dict[str, Any]:
    """Runs a module in a process of its own, which reads `job` and writes its answer."""
    environment = os.environ | (shared(options) if options else {})
    done = subprocess.run(
        [sys.executable, "-m", module],
        input=json.dumps(job).encode(),
        stdout=subprocess.PIPE,
        check=True,
        cwd=ROOT,
        env=environment,
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def shared(options: Options) -> dict[str, str]:
    """Returns the environment that all processes share."""
    return {
        # Cloze runs as many forwards of one thread as peers have threads for one.
        **dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "CLOZE_FORWARDS"), str(options.threads)),
        "CLOZE_THREADS": "1",
        "CLOZE_WORKERS": "0",
        "CLOZE_MODEL_STORE": str(options.var / "store"),
        "CLOZE_LOG_LEVEL": "warning",
        "HF_HUB_OFFLINE": "1",
        "INFINITY_ANONYMOUS_USAGE_STATS": "0",
        "DO_NOT_TRACK": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }


def build_store(store: Path, encoder: Path, environment: dict[str, str]) -> Path:
    """A model store with the encoder and cloze-text; returns the folder of the latter."""
    shipped = sorted((ROOT / "model_store" / "cloze-text").iterdir(), key=lambda each: int(each.name))[-1]
    shutil.rmtree(store, ignore_errors=True)
    shutil.copytree(shipped, store / "cloze-text" / shipped.name)
    command = [sys.executable, "-m", "app.cli", "models", "import", str(encoder), "--name", systems.STORE_NAME]
    subprocess.run(command, check=True, cwd=ROOT, env=os.environ | environment, stdout=subprocess.DEVNULL)
    return store / "cloze-text" / shipped.name


def main(options: Options) -> None:
    options.var.mkdir(parents=True, exist_ok=True)
    venvs = options.var / "venvs"
    venvs.mkdir(exist_ok=True)
    for name in ("infinity", "python"):
        systems.install(venvs, name)
    encoder = systems.encoder_folder()
    filler = build_store(options.var / "store", encoder, shared(options))
    texts = workload.texts(options.data, encoder / "tokenizer.json")
    masked = {kind: [workload.masked(text) for text in each] for kind, each in texts.items()}
    for task in options.tasks:
        model, inputs = (encoder, texts) if task == "embed" else (filler, masked)
        started = time.monotonic()
        bench = Bench(options, task, options.var, model, inputs)
        bench.servers = [
            Server(system, dtype, model, options.var, shared(options))
            for dtype in options.dtypes
            for system in _chosen(options, systems.EMBEDDING if task == "embed" else systems.FILLING)
        ]
        title = "Serving embeddings" if task == "embed" else "Serving fill-mask"
        found = bench.run()
        write_section(title, render(found, options, time.monotonic() - started), options.results)


def _chosen(options: Options, candidates: list[System]) -> list[System]:
    wanted = options.systems
    return [each for each in candidates if not wanted or any(part in each.name.lower() for part in wanted)]
