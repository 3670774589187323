"""The forward that Cloze serves beside other backends, on equal texts: which is worth an option?

All embed the same mixed texts with all-MiniLM-L6-v2, without a server: in batches of at most 4,096 tokens
sorted by length, and one by one. `cosine` is the smallest to plain PyTorch's vectors in float32.
"""

import itertools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer

from app.modalities.base import Prepared
from app.modalities.registry import load
from app.serving.packing import pack
from app.types import Task
from benchmarks.options import Options
from benchmarks.report import machine, table, write_section
from benchmarks.serving import systems, workload
from benchmarks.serving.offline import ROUNDS, TOKENS, batches, item, quickest
from benchmarks.serving.run import ask_module, shared

TEXTS, SINGLE = 256, 40
OTHERS = ("torch bf16", "torch.compile bf16", "OpenVINO bf16", "ONNX Runtime fp32", "ONNX Runtime int8")


def own(job: dict[str, Any]) -> dict[str, Any]:
    """As a server runs it, tokenising left out."""
    torch.set_num_threads(job["threads"])
    objective = load(Path(job["model"]))
    objective.to(torch.device("cpu"), getattr(torch, job["dtype"]))
    if job["packed"]:
        pack(objective.model)
    handler: Any = objective.tasks[Task.EMBED]
    prepared: list[Prepared[Any, Any]] = sorted(
        (handler.prepare(item(Task.EMBED, t)) for t in job["texts"]), key=lambda p: p.cost
    )
    groups = batches(prepared, padded=handler.pads)
    collated = [handler.collate(group) for group in groups]
    with torch.inference_mode():
        raw = [handler.run(batch) for batch in collated]
    vectors = [handler.finish(p, r).vector for p, r in zip(prepared, itertools.chain(*raw), strict=True)]
    alone = [handler.collate([each.inputs]) for each in prepared[:: len(prepared) // SINGLE][:SINGLE]]
    single = [quickest(lambda each=each: handler.run(each), 5) for each in alone]
    seconds = quickest(lambda: [handler.run(batch) for batch in collated], ROUNDS)
    return {"seconds": seconds, "single_ms": 1000 * float(np.median(single)), "vectors": np.stack(vectors).tolist()}


def padded(texts: list[str], tokenizer: Path) -> tuple[list[dict[str, Any]], list[list[int]]]:
    """Batches sorted by length, padded, of at most TOKENS; and some texts alone, of the same lengths as `own`'s."""
    encoder = Tokenizer.from_file(str(tokenizer))
    encoder.enable_truncation(256)
    encoder.no_padding()
    rows = sorted((each.ids for each in encoder.encode_batch(texts)), key=len)
    found: list[list[list[int]]] = [[]]
    for row in rows:
        if found[-1] and (len(found[-1]) + 1) * len(row) > TOKENS:
            found.append([])
        found[-1].append(row)
    filled = [
        {
            "ids": [row + [0] * (len(group[-1]) - len(row)) for row in group],
            "mask": [[1] * len(row) + [0] * (len(group[-1]) - len(row)) for row in group],
        }
        for group in found
    ]
    return filled, rows[:: len(rows) // SINGLE][:SINGLE]


def ask_other(python: Path, job: dict[str, Any], environment: dict[str, str]) -> dict[str, Any] | str:
    """Returns the measurement, or the last line of the error."""
    script = Path(__file__).with_name("candidates.py")
    done = subprocess.run([python, script], input=json.dumps(job).encode(), capture_output=True, env=environment)
    if done.returncode:
        return done.stderr.decode(errors="replace").strip().splitlines()[-1]
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def cosine(vectors: Any, reference: Any) -> float:
    a, b = np.asarray(vectors), np.asarray(reference)
    return float(((a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)).min())


def main(options: Options) -> None:
    venvs = options.var / "venvs"
    venvs.mkdir(parents=True, exist_ok=True)
    systems.install(venvs, "backends")
    encoder = systems.encoder_folder()
    texts = workload.texts(options.data, encoder / "tokenizer.json")["mixed"][:TEXTS]
    common = {"model": str(encoder), "threads": options.threads}
    filled, single = padded(texts, encoder / "tokenizer.json")
    environment = shared(options) | {"PATH": "/usr/bin:/bin", "HOME": str(options.var)}
    found: dict[str, list[Any]] = {}
    for _ in range(options.rounds):
        for name, dtype, packed in (("reference", "float32", False), ("Cloze bf16", "bfloat16", True)):
            job = common | {"dtype": dtype, "packed": packed, "texts": texts}
            found.setdefault(name, []).append(ask_module("benchmarks.backends.run", job, options))
        for backend in OTHERS:
            job = common | {"backend": backend, "batches": filled, "single": single}
            answer = ask_other(venvs / "backends/bin/python", job, environment)
            found.setdefault(backend, []).append(answer)
            print(
                backend, answer if isinstance(answer, str) else f"{TEXTS / answer['seconds']:.0f} texts/s", flush=True
            )
    write_section("Other backends for the forward", render(found, options), options.results)


def render(found: dict[str, list[Any]], options: Options) -> str:
    reference = found.pop("reference")[0]["vectors"]
    ours = min(each["seconds"] for each in found["Cloze bf16"])
    rows = []
    for name, answers in found.items():
        if isinstance(answers[0], str):
            rows.append([name, "did not run", "", "", answers[0][:120]])
            continue
        seconds = min(each["seconds"] for each in answers)
        single = min(each["single_ms"] for each in answers)
        agreement = cosine(answers[0]["vectors"], reference)
        rows.append([name, f"{TEXTS / seconds:,.0f}", f"{ours / seconds:.2f}", f"{single:.1f}", f"{agreement:.4f}"])
    head = ["Backend", "Texts/s", "× Cloze's", "One text, ms (median)", "Cosine, smallest"]
    return (
        f"`{options.command()} --only backends`, {machine()}, {options.threads} thread(s): {TEXTS} mixed texts with "
        f"all-MiniLM-L6-v2, forwards alone, in batches of at most {TOKENS:,} tokens sorted by length; the best of "
        f"{options.rounds} × {ROUNDS} rounds.\n\n" + table(head, rows)
    )


if __name__ == "__main__":
    print(json.dumps(own(json.load(sys.stdin))))
