"""A job of the trainer that continues cloze-text, without a queue and a server."""

import json
from pathlib import Path
from typing import Any

from app.methods import METHODS
from app.training.data.source_file import SourceFile
from app.training.job import TrainingJob
from benchmarks.serving.workload import FIXTURE

_HELD_OUT = 8  # of the lines of the fixture, one is held out


def make_job(
    store: str, folder: Path, device: str, files: list[str] | None = None, held_out: str | None = None, **options: Any
) -> TrainingJob:
    """files, held_out: texts; by default those of the fixture of the benchmarks, which are few."""
    versions = [version for version in (Path(store) / "cloze-text").iterdir() if version.name.isdigit()]
    if not files:
        files, held_out = _split_fixture(folder)
    hyperparameters = {"sequence_length": 128, "learning_rate": 2e-4, "head_learning_rate": 4e-4, **options}
    return TrainingJob(
        method="mlm",
        model=max(versions, key=lambda version: int(version.name)),
        hyperparameters=METHODS["mlm"].hyperparameters.model_validate(hyperparameters),
        training_files=tuple(SourceFile(Path(path), Path(path).name) for path in files),
        validation_files=(SourceFile(Path(held_out), Path(held_out).name),) if held_out else (),
        run_dir=folder / "run",
        cache_dir=folder / "cache",
        device=device,
    )


def _split_fixture(folder: Path) -> tuple[list[str], str]:
    lines = [json.loads(line)["text"] for line in FIXTURE.read_text(encoding="utf-8").splitlines()]
    training, held_out = folder / "training.jsonl", folder / "held_out.jsonl"
    for path, keep in ((training, False), (held_out, True)):
        kept = [text for place, text in enumerate(lines) if (place % _HELD_OUT == 0) is keep]
        path.write_text("".join(json.dumps({"text": text}) + "\n" for text in kept), encoding="utf-8")
    return [str(training)], str(held_out)
