"""Masking rates of text, at equal numbers of tokens: python -m benchmarks.objectives --data FOLDER

Each case trains modernbert-tiny from scratch on Wikipedia, on one thread, with one tokenizer for all. A seed sets the
new weights, the order of the data and the masks. The figures of a run are

    loss, accuracy    on held-out articles, with the masks that all evaluations of Cloze use (15 %)
    TREC              accuracy of a logistic regression on the mean-pooled embeddings, on the test split
    seconds           processor time of the training steps

FOLDER holds wiki_en/ and text_eval/ as shared/data has them. A run whose figures are in VAR/runs.jsonl is not repeated.
The table in benchmarks/objectives.md has a row for each run.
"""

import argparse
import json
import lzma
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from app.methods import MlmHyperparameters
from app.modalities.embedding import EmbedItem
from app.training.data.source_file import SourceFile
from app.training.job import TrainingJob
from app.training.loop.distributed import SilentHooks
from app.training.run import run
from app.types import Task
from benchmarks.offline import load_model, perform
from benchmarks.report import machine, table, write_section

PAGE = Path(__file__).with_suffix(".md")
PRESET = "modernbert-tiny"
SHARED = {
    "sequence_length": 128,
    "batch_tokens": 1024,
    "vocab_size": 1024,
    "tokenizer": "wordpiece",
    "lowercase": True,
    "learning_rate": 2e-3,
    "max_eval_samples": 512,
}
CASES: dict[str, dict[str, Any]] = {
    "0.30": {},
    "0.15": {"masking_rate": 0.15},
    "0.30 → 0.15": {"final_masking_rate": 0.15},
    "0.45 → 0.15": {"masking_rate": 0.45, "final_masking_rate": 0.15},
}


@dataclass(frozen=True)
class Record:
    """The figures of one run."""

    case: str
    seed: int
    steps: int
    hyperparameters: Mapping[str, Any]
    loss: float
    accuracy: float
    trec: float
    seconds: float


class Clock(SilentHooks):
    """Hooks that take the processor time of the training steps, without the first one."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def on_progress(self, progress: Any) -> None:
        self.times.append(time.process_time())

    @property
    def seconds(self) -> float:
        return self.times[-1] - self.times[0]


def measure(case: str, given: Mapping[str, Any], seed: int, steps: int, data: Path, var: Path) -> Record:
    """Trains a case in this process."""
    folder, tokenizer = var / "run", var / "tokenizer"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if tokenizer.exists():
        shutil.copytree(tokenizer, folder / "tokenizer")
    rare = dict.fromkeys(("eval_interval", "checkpoint_interval", "log_interval"), steps)
    hyperparameters = {**SHARED, **rare, **given, "seed": seed, "max_steps": steps}
    clock = Clock()
    job = TrainingJob(
        method="mlm",
        model=PRESET,
        hyperparameters=MlmHyperparameters(**hyperparameters),
        training_files=(_file(data / "wiki_en" / "wiki_en_00.jsonl.xz"),),
        validation_files=(_file(data / "wiki_en" / "wiki_en_valid.jsonl.xz"),),
        run_dir=folder,
        cache_dir=var / "cache",
        device="cpu",
        threads=1,
    )
    result = run(job, clock)
    if not tokenizer.exists():
        shutil.copytree(folder / "tokenizer", tokenizer)
    trec = probe(load_model(str(result.folder), var), data / "text_eval" / "trec6.jsonl.xz")
    found = result.metrics
    return Record(case, seed, steps, hyperparameters, found["eval_loss"], found["eval_accuracy"], trec, clock.seconds)


def _file(path: Path) -> SourceFile:
    return SourceFile(path, path.name)


def probe(objective: Any, file: Path) -> float:
    """Returns the accuracy on the test split of a logistic regression on the embeddings of the training split."""
    with lzma.open(file, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    parts: dict[str, tuple[Any, list[Any]]] = {}
    for split in ("train", "test"):
        chosen = [row for row in rows if row["split"] == split]
        items = [EmbedItem(row["text"], truncate=True) for row in chosen]
        vectors = np.stack([result.vector for result in perform(objective, Task.EMBED, items)])
        parts[split] = vectors, [row["label"] for row in chosen]
    classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    return float(classifier.fit(*parts["train"]).score(*parts["test"]))


def summarise(records: Sequence[Record]) -> str:
    """Returns the table of the runs, and the largest difference in loss between two seeds of a case."""
    rows = [
        (r.case, str(r.seed), f"{r.loss:.3f}", f"{r.accuracy:.4f}", f"{r.trec:.3f}", f"{r.seconds:.0f}")
        for r in records
    ]
    losses = [[record.loss for record in records if record.case == case] for case in {r.case for r in records}]
    spread = max(max(each) - min(each) for each in losses)
    head = ("masking rate", "seed", "held-out loss", "held-out accuracy", "TREC", "processor seconds")
    return f"{table(head, rows)}\n\nLargest difference between two seeds of a masking rate: {spread:.3f} in loss."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--var", type=Path, default=Path("var/objectives"), help="runs, and the figures of ended ones")
    parser.add_argument("--steps", type=int, default=700)
    parser.add_argument("--seeds", type=int, default=2)
    options = parser.parse_args()
    options.var.mkdir(parents=True, exist_ok=True)
    done = options.var / "runs.jsonl"
    records = [Record(**json.loads(line)) for line in done.read_text().splitlines()] if done.exists() else []
    for seed in range(options.seeds):
        for case, given in CASES.items():
            if any((r.case, r.seed, r.steps) == (case, seed, options.steps) for r in records):
                continue
            records.append(measure(case, given, seed, options.steps, options.data, options.var))
            print(records[-1], flush=True)
            with done.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps(asdict(records[-1])) + "\n")
    command = f"`python -m benchmarks.objectives --data DATA --steps {options.steps} --seeds {options.seeds}`"
    about = f"{command}, {machine()}, one thread, {options.steps} steps of {SHARED['batch_tokens']} tokens."
    chosen = [record for case in CASES for record in records if (record.case, record.steps) == (case, options.steps)]
    write_section("Masking rates", f"{about}\n\n{summarise(chosen)}", PAGE)


if __name__ == "__main__":
    main()
