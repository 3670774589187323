import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.methods import MlmHyperparameters
from app.training.data.source_file import SourceFile
from app.training.job import TrainingJob
from tests.fakes.pools import _pools, runs_share_processes  # noqa: F401
from tests.fakes.runs import SMALL
from tests.fakes.tiny_models import CORPUS


@pytest.fixture
def job(tmp_path: Path) -> Callable[..., TrainingJob]:
    source = tmp_path / "corpus.jsonl"
    source.write_text("\n".join(json.dumps({"text": f"{a} {b}"}) for a in CORPUS for b in CORPUS))

    def build(name: str = "run", model: str | Path = "bert-tiny", **hyperparameters: Any) -> TrainingJob:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        return TrainingJob(
            method="mlm",
            model=model,
            hyperparameters=MlmHyperparameters(**{**SMALL, **hyperparameters}),
            training_files=(SourceFile(source, source.name),),
            validation_files=(),
            run_dir=folder,
            cache_dir=tmp_path / "cache",
            device="cpu",
        )

    return build
