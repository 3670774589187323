"""Kills workers, trainers, the API and Redis at random while short jobs run, and reports what became of them.

    python -m benchmarks.faults --jobs 200 --out benchmarks/FAULTS.md

Every process is a real one, killed with SIGKILL and started again: redis-server with its
append-only file synced at every write, the API, and two workers with their trainers. What must hold:
every job whose creation was answered ends, each is published exactly once, and its weights are
those of a run with the same seed that was left alone. The exit status says whether it did. A job
that is given up as poisoned, having died three times in a row, is retried as its user would.

Before that, on a calm service, one job's worker is killed again and again, and the recovery timed.
"""

import argparse
import collections
import contextlib
import json
import os
import platform
import random
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from app.store.store import ModelEntry, ModelStore
from benchmarks.service import Service, processes

FINAL = {"succeeded", "failed", "cancelled"}
KINDS = ("trainer", "worker", "api", "redis")
HYPERPARAMETERS = {
    "max_steps": 30,
    "checkpoint_interval": 3,
    "eval_interval": 15,
    "batch_tokens": 256,
    "sequence_length": 32,
    "vocab_size": 300,
    "precision": "float32",
}
ANIMALS = ["lions", "zebras", "birds", "elephants", "hyenas", "gazelles", "vultures", "giraffes"]


def submit(service: Service, file: str, seed: int, name: str, **hyperparameters: Any) -> str:
    body = {
        "model": "bert-tiny",
        "training_file": file,
        "name": name,
        "hyperparameters": HYPERPARAMETERS | {"seed": seed} | hyperparameters,
    }
    job = service.ask("POST", "/v1/pretraining/jobs", json=body, headers={"Idempotency-Key": name})
    return str(job["id"])


def states(service: Service, ids: list[str]) -> dict[str, dict[str, Any]]:
    """The jobs as the API lists them: what it does not list is lost."""
    found: dict[str, dict[str, Any]] = {}
    after: dict[str, str] = {}
    while True:
        page = service.ask("GET", "/v1/pretraining/jobs", params={"limit": 100, **after})
        found |= {job["id"]: job for job in page["data"] if job["id"] in set(ids)}
        if not page["has_more"]:
            return found
        after = {"after": page["data"][-1]["id"]}


def recoveries(service: Service, file: str, times: int) -> list[tuple[float, float]]:
    """After each SIGKILL of a worker at work: seconds until its job is claimed again, and until it trains on."""
    job_id = submit(service, file, 0, "recovery", max_steps=1_000_000, eval_interval=1_000_000)
    took: list[tuple[float, float]] = []
    step = 0

    def wait(condition: Callable[[dict[str, Any]], bool]) -> tuple[float, dict[str, Any]]:
        while not condition(job := service.ask("GET", f"/v1/pretraining/jobs/{job_id}")):
            time.sleep(0.1)
        return time.monotonic(), job

    for attempt in range(1, times + 1):
        _, job = wait(
            lambda job, step=step: job["progress"]["step"] > step + 2 * HYPERPARAMETERS["checkpoint_interval"]
        )
        step = job["progress"]["step"]
        [parent] = [
            parent for _, parent, command in processes() if "app.worker.run_job" in command and job_id in command
        ]
        os.kill(parent, signal.SIGKILL)
        killed = time.monotonic()
        claimed, _ = wait(lambda job, attempt=attempt: job["attempts"] > attempt)
        going, _ = wait(lambda job, step=step: job["progress"]["step"] > step)
        took.append((claimed - killed, going - killed))
    service.ask("POST", f"/v1/pretraining/jobs/{job_id}/cancel")
    wait(lambda job: job["status"] in FINAL)
    return took


def disturb(
    service: Service, ids: list[str], mean_pause: float, most: float, chance: random.Random
) -> collections.Counter[str]:
    """Kills, `most` times at the most, until every job has ended. → how often each kind of process was killed"""
    kills: collections.Counter[str] = collections.Counter()
    next_kill = time.monotonic() + chance.expovariate(1 / mean_pause)
    next_look = 0.0
    while True:
        service.ensure()
        now = time.monotonic()
        if now >= next_kill and kills.total() < most:
            kind = chance.choice(KINDS)
            if victims := service.pids(kind):
                os.kill(chance.choice(victims), signal.SIGKILL)
                kills[kind] += 1
            next_kill = now + chance.expovariate(1 / mean_pause)
        if now >= next_look:
            jobs = states(service, ids)
            for job_id, job in jobs.items():
                if job["status"] == "failed" and job["error"]["code"] == "poisoned":
                    # Three deaths in a row are taken for the job's own fault. Here they are not.
                    with contextlib.suppress(httpx.HTTPStatusError):  # asked twice, as an answer was lost
                        service.ask("POST", f"/v1/pretraining/jobs/{job_id}/retry")
                    job["status"] = "queued"
            ended = sum(job["status"] in FINAL for job in jobs.values())
            print(f"\r{ended} of {len(ids)} ended, {kills.total()} kills", end="", flush=True)
            if ended == len(ids):
                print()
                return kills
            next_look = now + 3
        time.sleep(0.1)


def publications(store: ModelStore) -> dict[str, list[ModelEntry]]:
    """Returns what each job published, over all versions of all names."""
    found: dict[str, list[ModelEntry]] = collections.defaultdict(list)
    for latest in store.list():
        for entry in store.versions(latest.name):
            found[str(entry.manifest.job_id)].append(entry)
    return found


def weights(entry: ModelEntry) -> str:
    return entry.manifest.files["model.safetensors"]


def describe(recovered: list[tuple[float, float]]) -> list[str]:
    if not recovered:
        return []
    claimed, going = zip(*recovered, strict=True)
    return [
        f"Recovery of an otherwise undisturbed service, {len(recovered)} times: a job whose worker was killed was"
        f" claimed again after {statistics.median(claimed):.1f} s (median; at most {max(claimed):.1f} s). It continued"
        f" training, in a new process, after {statistics.median(going):.1f} s (at most {max(going):.1f} s).",
        "",
    ]


def report(
    service: Service,
    references: list[str],
    ids: list[str],
    kills: "collections.Counter[str]",
    took: float,
    recovered: list[tuple[float, float]],
) -> tuple[str, bool]:
    jobs, published = states(service, ids), publications(service.store)
    by_state = collections.Counter(job["status"] for job in jobs.values())
    attempts = [job["attempts"] for job in jobs.values()]
    retries = sum(job["retries"] for job in jobs.values())
    checks = {
        "acknowledged jobs that are listed": (len(jobs), len(ids)),
        "jobs that ended": (sum(job["status"] in FINAL for job in jobs.values()), len(ids)),
        "jobs that succeeded": (by_state["succeeded"], len(ids)),
        "jobs that were published exactly once": (sum(len(published[i]) == 1 for i in ids), len(ids)),
        "jobs with the weights of the undisturbed run": (
            sum(
                bool(published[i]) and weights(published[i][0]) == references[n % len(references)]
                for n, i in enumerate(ids)
            ),
            len(ids),
        ),
    }
    lines = [
        "# Faults",
        "",
        f"`python -m benchmarks.faults --jobs {len(ids)}` on {os.cpu_count()} cores ({platform.machine()}),"
        f" Python {platform.python_version()}; {took / 60:.0f} minutes.",
        "",
        f"Killed with SIGKILL at random times: {', '.join(f'{kills[k]} × {k}' for k in KINDS)}."
        f" Attempts for each job: {sum(attempts) / max(1, len(attempts)):.2f} on average,"
        f" {max(attempts, default=0)} at most."
        f" Jobs that failed as poisoned after three deaths in a row and were retried through the API: {retries}.",
        "",
        "| Check | Passed | Of |",
        "| --- | --- | --- |",
        *(f"| {name} | {held} | {of} |" for name, (held, of) in checks.items()),
        "",
        *describe(recovered),
    ]
    failed = [f"- {i}: {job['status']} {job['error']}" for i, job in jobs.items() if job["status"] != "succeeded"]
    return "\n".join([*lines, *failed]).rstrip() + "\n", all(held == of for held, of in checks.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--runs", type=int, default=4, help="different runs; every job repeats one of them")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--mean-pause", type=float, default=8.0, help="seconds between kills, on average")
    parser.add_argument("--max-kills", type=float, default=float("inf"), help="after which the jobs are left alone")
    parser.add_argument("--recoveries", type=int, default=10, help="kills on the calm service")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    chance = random.Random(options.seed)
    folder = Path(tempfile.mkdtemp(prefix="cloze-faults-"))
    corpus = folder / "corpus.jsonl"
    texts = [f"The {a} chase the {b} in the savanna, near {n} trees." for a in ANIMALS for b in ANIMALS for n in "357"]
    corpus.write_text("\n".join(json.dumps({"text": text}) for text in texts))
    service = Service(folder, options.workers)
    print(f"everything is under {folder}")
    try:
        with corpus.open("rb") as file:
            form = {"data": {"purpose": "fine-tune"}, "files": {"file": ("corpus.jsonl", file.read())}}
        file_id = service.ask("POST", "/v1/files", **form)["id"]
        calm = [submit(service, file_id, n, f"reference-{n}") for n in range(options.runs)]
        while any(job["status"] not in FINAL for job in states(service, calm).values()):
            time.sleep(1)
        found = publications(service.store)
        references = [weights(found[i][0]) for i in calm]
        recovered = recoveries(service, file_id, options.recoveries)
        started = time.monotonic()
        ids = [submit(service, file_id, n % options.runs, f"disturbed-{n}") for n in range(options.jobs)]
        kills = disturb(service, ids, options.mean_pause, options.max_kills, chance)
        text, held = report(service, references, ids, kills, time.monotonic() - started, recovered)
    finally:
        service.stop()
    print(text)
    if options.out:
        options.out.write_text(text, encoding="utf-8")
    sys.exit(not held)


if __name__ == "__main__":
    main()
