"""The sharing section: serving while a job trains on the same processors, and training while nothing is served.

Both run as `cloze serve` runs them, with every setting at its default.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx

from benchmarks.options import Options
from benchmarks.pretraining.run import THREADS, measured
from benchmarks.report import machine, table, write_section
from benchmarks.serving import workload
from benchmarks.serving.run import ask_module, build_store
from benchmarks.serving.systems import ROOT, encoder_folder

CLIENTS = (1, 8)
MODEL = "cloze-text"
STEPS = 12  # of the job that is timed
HYPERPARAMETERS: dict[str, Any] = {"batch_tokens": 4096, "log_interval": 1, "validation_fraction": 0.02}


class Service:
    """`cloze serve` with an embedded Redis and one worker."""

    def __init__(self, folder: Path, store: Path) -> None:
        own = {"CLOZE_PORT": "0", "CLOZE_VAR_DIR": str(folder / "var"), "CLOZE_MODEL_STORE": str(store)}
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("CLOZE_", "OMP_", "MKL_"))}
        self._log = folder / "serve.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "app.cli", "serve"], cwd=ROOT, env=environment | own, stdout=log, stderr=log
            )
        while (found := re.search(r"http://127\.0\.0\.1:(\d+)", self._log.read_text())) is None:
            if self._process.poll() is not None:
                raise RuntimeError(self._log.read_text())
            time.sleep(0.2)
        self.port = int(found[1])
        while httpx.get(f"{self.url}/ready").status_code != 200:
            time.sleep(0.2)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, method: str, path: str, **options: Any) -> Any:
        return httpx.request(method, self.url + path, timeout=60, **options).raise_for_status().json()

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(60)


def latencies(service: Service, bodies: Path, seconds: float) -> dict[int, dict[str, float]]:
    """For each number of clients: p50 and p99 in ms, and requests a second."""
    found = {}
    for clients in CLIENTS:
        job = {"port": service.port, "path": "/v1/fill-mask", "bodies": str(bodies), "clients": clients}
        answer = ask_module("benchmarks.serving.load", job | {"warm": 1.0, "seconds": seconds})
        rate = answer["requests"] / answer["seconds"]
        found[clients] = {"p50": answer["ms"]["50"], "p99": answer["ms"]["99"], "rate": rate}
    return found


def start_job(service: Service, corpus: Path) -> str:
    with corpus.open("rb") as file:
        uploaded = service.ask("POST", "/v1/files", files={"file": (corpus.name, file)}, data={"purpose": "fine-tune"})
    asked = {"model": MODEL, "training_file": uploaded["id"], "name": "shared"}
    asked["hyperparameters"] = HYPERPARAMETERS | {"max_steps": 100_000, "eval_interval": 100_000}
    job: str = service.ask("POST", "/v1/pretraining/jobs", json=asked)["id"]
    until_step(service, job, 3)
    return job


def until_step(service: Service, job: str, step: int) -> dict[str, Any]:
    """The newest point of the job's speed, once it has come so far."""
    while True:
        series = service.ask("GET", f"/v1/pretraining/jobs/{job}/metrics", params={"keys": "tokens"})["data"]
        points = next((each["points"] for each in series if each["key"] == "tokens"), [])
        if points and points[-1]["step"] >= step:
            return dict(points[-1])
        time.sleep(0.2)


def pace(service: Service, job: str, steps: int) -> float:
    """Tokens a second over the next steps."""
    first = until_step(service, job, 0)
    last = until_step(service, job, first["step"] + steps)
    return float((last["value"] - first["value"]) / (last["time"] - first["time"]))


def alone(folder: Path, store: Path, corpus: Path) -> float:
    """Tokens a second of the same job with nothing beside it, all processors its own."""
    shipped = sorted((store / MODEL).iterdir(), key=lambda each: int(each.name))[-1]
    given = {
        "method": "mlm",
        "model": str(shipped),
        "hyperparameters": HYPERPARAMETERS | {"max_steps": STEPS + 3, "eval_interval": 1000, "max_eval_samples": 1},
        "files": [str(corpus)],
        "held_out": str(corpus),
        "warm": 3,
        "threads": THREADS,
        "cache": str(folder / "cache"),
    }
    command = [sys.executable, "-m", "benchmarks.pretraining.cloze_run"]
    return float(HYPERPARAMETERS["batch_tokens"] / measured(command, given, folder / "alone"))


def main(options: Options) -> None:
    options.var.mkdir(parents=True, exist_ok=True)
    store = options.var / "store"
    build_store(store, encoder_folder(), {"CLOZE_MODEL_STORE": str(store)})
    texts = workload.texts(options.data, encoder_folder() / "tokenizer.json")["mixed"]
    seconds = 3 * options.seconds  # a p99 needs many requests
    with tempfile.TemporaryDirectory(dir=options.var) as name:
        folder = Path(name)
        corpus, bodies = folder / "corpus.jsonl", folder / "bodies.jsonl"
        corpus.write_text("".join(json.dumps({"text": " ".join(texts[i::40])}) + "\n" for i in range(40)))
        workload.write_bodies(
            bodies, [workload.masked(t) for t in texts], 1, lambda t: {"input": t[0], "truncate": True}
        )
        own = alone(folder, store, corpus)
        service = Service(folder, store)
        try:
            idle = latencies(service, bodies, seconds)
            job = start_job(service, corpus)
            beside_idle = pace(service, job, STEPS)
            busy = latencies(service, bodies, seconds)
            service.ask("POST", f"/v1/pretraining/jobs/{job}/cancel")
        finally:
            service.stop()
    rows = []
    for clients in CLIENTS:
        before, during = idle[clients], busy[clients]
        times = [f"{each['p50']:.1f} / {each['p99']:.1f}" for each in (before, during)]
        kept = f"{during['rate'] / before['rate']:.0%}"
        rows.append((str(clients), *times, f"{during['p99'] / before['p99']:.2f}", kept))
    head = ("clients", "p50 / p99 in ms, idle", "the same while a job trains", "p99, ratio", "requests/s kept")
    text = (
        f"`{options.command()} --only sharing`, {machine()}; all settings at their defaults. Fill-mask of single mixed"
        f" texts with {MODEL}, and a job that trains the same model.\n\n{table(head, rows)}\n\nThe job alone, with all"
        f" processors and no server: {own:,.0f} tokens/s. With an idle server: {beside_idle:,.0f}"
        f" ({beside_idle / own:.0%})."
    )
    print(text)
    write_section("Sharing a machine", text, options.results)
