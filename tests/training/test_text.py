"""What a run on text is made of."""

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from transformers import AutoModel

from app.errors import InvalidData, InvalidModel, InvalidValue
from app.modalities.text.load import load_text
from app.training.data.source_file import SourceFile
from app.training.job import TrainingJob
from app.training.text import prepare
from tests.fakes.runs import SMALL, Recorder
from tests.fakes.tiny_models import CORPUS, MAX_LENGTH, tiny_config, tiny_text_folder, tiny_tokenizer

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


def strip_token(folder: Path, name: str) -> Path:
    tokenizer = load_text(folder).tokenizer
    setattr(tokenizer, name, None)
    tokenizer.save_pretrained(folder)
    return folder


def test_a_tokenizer_without_a_mask_token_is_refused(job: Callable[..., TrainingJob], tmp_path: Path) -> None:
    folder = strip_token(tiny_text_folder(tmp_path / "lender", "modernbert"), "mask_token")
    with pytest.raises(InvalidModel, match=r"lender@1 has no mask token") as error:
        prepare(replace(job(tokenizer_model="lender@1"), model_folders={"lender@1": folder}), Recorder(), CPU)
    assert error.value.param == "tokenizer_model"


@pytest.mark.parametrize("stored", [True, False])
def test_a_tokenizer_needs_no_padding_token(job: Callable[..., TrainingJob], tmp_path: Path, stored: bool) -> None:
    folder = strip_token(tiny_text_folder(tmp_path / "model", "modernbert"), "pad_token")
    asked = job(model=folder) if stored else job(tokenizer_model="model@1")
    material = prepare(replace(asked, model_folders={"model@1": folder}), Recorder(), CPU)
    objective, sample = material.objective, material.training[0]
    batch = objective.collate_masked([objective.mask_sample(sample, np.random.default_rng(0))])
    assert batch.tokens == len(sample.ids)


def teacher_folder(path: Path, architecture: str = "bert", max_length: int = MAX_LENGTH, **changes: int) -> Path:
    """With the vocabulary of the tiny BERT."""
    tokenizer = copy.deepcopy(tiny_tokenizer("bert"))
    config = tiny_config(architecture)
    config.update({**changes, "vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id})
    AutoModel.from_config(config).save_pretrained(path)
    tokenizer.model_max_length = max_length
    tokenizer.save_pretrained(path)
    return path


@pytest.mark.parametrize(
    ("teacher", "why"),
    [
        ({"architecture": "mpnet"}, "a mpnet model cannot read rows of several texts"),
        ({"hidden_size": 16}, "its embeddings have 16 dimensions, and the model's have 32"),
        ({"max_length": 31}, "it reads at most 31 tokens, and sequence_length is 32"),
        (None, "its vocabulary differs from the model's"),
    ],
)
def test_a_teacher_must_read_what_the_model_reads(
    job: Callable[..., TrainingJob], tmp_path: Path, teacher: dict[str, Any] | None, why: str
) -> None:
    base = tiny_text_folder(tmp_path / "base", "bert")
    other = tmp_path / "other"
    folder = tiny_text_folder(other, "modernbert") if teacher is None else teacher_folder(other, **teacher)
    asked = replace(job(model=base, teacher="other@1"), model_folders={"other@1": folder})
    with pytest.raises(InvalidValue, match=rf"other@1 cannot teach this model: {why}") as error:
        prepare(asked, Recorder(), CPU)
    assert error.value.param == "teacher"


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


def test_what_is_left_out_is_told(job: Callable[..., TrainingJob], tmp_path: Path) -> None:
    path = tmp_path / "data"
    rows = [*({"text": text} for text in CORPUS * 4), {"text": None}, {"text": " "}]
    path.write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    for _ in range(2):  # made, and then from the cache
        hooks = Recorder()
        prepare(replace(job(), training_files=(SourceFile(path, "a.jsonl"),)), hooks, CPU)
        (found,) = [(message, data) for message, data in hooks.events if "tokens in" in message]
        count = 4 * len(CORPUS)
        assert found[0].endswith(
            f" in {count} documents; left out: 1 null (a.jsonl, line {count + 1}),"
            f" 2 empty (a.jsonl, line {count + 2}, …)"
        )
        assert found[1]["skipped"] == {"null": 1, "empty": 2} and found[1]["no_tokens"] == 0


def test_damage_far_inside_a_file_is_the_users_to_mend(job: Callable[..., TrainingJob], tmp_path: Path) -> None:
    path = tmp_path / "late.parquet"
    pq.write_table(pa.table({"text": CORPUS * 100}), path, row_group_size=100, compression="none")
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 300] = b"\xff" * 300
    path.write_bytes(content)
    with pytest.raises(InvalidData, match=r"late.parquet, row (group )?\d+: not "):
        prepare(replace(job(), training_files=(SourceFile(path, path.name),)), Recorder(), CPU)


THAI = "ภาษาไทยแมวน้ำปลาสวยกิน" * 10


def on(job: TrainingJob, tmp_path: Path, documents: list[str]) -> TrainingJob:
    source = tmp_path / "source.jsonl"
    source.write_text("\n".join(json.dumps({"text": document}) for document in documents))
    return replace(job, training_files=(SourceFile(source, source.name),))


def test_a_text_of_unknown_tokens_is_refused_with_examples(job: Callable[..., TrainingJob], tmp_path: Path) -> None:
    base = tiny_text_folder(tmp_path / "base", "bert")
    hooks = Recorder()
    with pytest.raises(InvalidData, match=r"100\.0% of the text is unknown .* such as 'ภาษา.*Train a preset") as error:
        prepare(on(job(model=base), tmp_path, [f"{THAI} {n}ก" for n in range(30)]), hooks, CPU)
    assert error.value.param == "training_file"
    assert hooks.series("unknown_share") == [1.0]


def test_the_beginning_alone_does_not_make_a_file_unknown(
    job: Callable[..., TrainingJob], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.training.data.unknown.SAMPLE_CHARS", 3000)
    monkeypatch.setattr("app.training.data.unknown.SPREAD", 10)
    base = tiny_text_folder(tmp_path / "base", "bert")
    for documents, share in (([THAI] * 20 + CORPUS * 40, (0.1, 0.4)), (CORPUS * 40 + [THAI] * 20, (0.2, 0.3))):
        hooks = Recorder()
        prepare(on(job(model=base), tmp_path, documents), hooks, CPU)
        ((message, data),) = [each for each in hooks.events if "unknown_share" in each[1]]
        assert share[0] < data["unknown_share"] < share[1]
        assert "of the text is unknown to the tokenizer, such as" in message or documents[0] == CORPUS[0]


@pytest.mark.parametrize("model", ["bert-tiny", "modernbert-tiny"])
def test_a_preset_learns_from_texts_without_spaces(job: Callable[..., TrainingJob], tmp_path: Path, model: str) -> None:
    hooks = Recorder()
    material = prepare(on(job(model=model), tmp_path, [f"{THAI}{n}" for n in range(30)]), hooks, CPU)
    assert hooks.series("unknown_share") == [0.0]
    assert material.training.tokens > 300


def test_a_validation_file_of_unknown_tokens_is_refused(job: Callable[..., TrainingJob], tmp_path: Path) -> None:
    held = tmp_path / "held.txt"
    held.write_text(THAI)
    asked = replace(
        job(model=tiny_text_folder(tmp_path / "base", "bert")), validation_files=(SourceFile(held, "h.txt"),)
    )
    with pytest.raises(InvalidData, match="unknown to the tokenizer") as error:
        prepare(asked, Recorder(), CPU)
    assert error.value.param == "validation_file"
