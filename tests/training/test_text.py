"""What a run on text is made of."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from app.training.job import SourceFile, TrainingJob
from app.training.text import prepare
from tests.fakes.runs import SMALL, Recorder
from tests.fakes.tiny_models import CORPUS, tiny_text_folder

CPU = torch.device("cpu")


def content(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_the_model_that_lends_its_tokenizer_is_left_as_it_is(job: Callable[..., TrainingJob], tmp_path: Path) -> None:
    lender = tiny_text_folder(tmp_path / "lender", "bert")
    vocabulary = json.loads((lender / "tokenizer.json").read_text())["model"]["vocab"]
    (lender / "tokenizer.json").unlink()
    (lender / "vocab.txt").write_text("\n".join(sorted(vocabulary, key=vocabulary.__getitem__)))  # as BERT came
    before = content(lender)
    hooks = Recorder()
    lent = replace(job(tokenizer_model="lender@1"), model_folders={"lender@1": lender})
    material = prepare(lent, hooks, CPU)
    assert content(lender) == before
    assert material.objective.tokenizer.get_vocab() == vocabulary  # type: ignore[attr-defined]
    assert not any("Training a" in message for message, _ in hooks.events)


@pytest.mark.parametrize("architecture", ["bert", "roberta"])  # one that packs rows, and one that does not
def test_one_document_fills_its_rows(job: Callable[..., TrainingJob], tmp_path: Path, architecture: str) -> None:
    base = tiny_text_folder(tmp_path / "base", architecture)
    source = tmp_path / "one.jsonl"
    source.write_text(json.dumps({"text": " ".join(CORPUS * 20)}))
    one = replace(job(model=base), training_files=(SourceFile(source, source.name),))
    rows = prepare(one, Recorder(), CPU).training
    sizes = [len(rows[n].ids) for n in range(len(rows))]  # type: ignore[attr-defined]
    assert len(sizes) > 10
    assert sum(size == SMALL["sequence_length"] for size in sizes) >= len(sizes) - 1
