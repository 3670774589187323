import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.errors import InvalidData, InvalidValue
from app.methods import ContrastiveHyperparameters
from app.modalities.embedding import EmbedItem
from app.modalities.text.load import load_text
from app.training.contrastive import prepare
from app.training.data.source_file import SourceFile
from app.training.job import TrainingJob
from app.training.run import run
from app.types import Task
from tests.fakes.perform import perform
from tests.fakes.runs import Recorder, same, weights
from tests.fakes.tiny_models import CORPUS, tiny_bert_folder

SMALL = {"sequence_length": 32, "batch_size": 4, "precision": "float32", "max_eval_samples": 8, "max_steps": 6}

Build = Callable[..., TrainingJob]


@pytest.fixture
def job(tmp_path: Path) -> Build:
    words = [word for line in CORPUS for word in line.split()]
    source = tmp_path / "pairs.jsonl"
    rows = [{"anchor": f"{a} {b}", "positive": f"{b} {a} again"} for a in words[:6] for b in words[10:16]]
    source.write_text("\n".join(map(json.dumps, rows)))
    folder = tiny_bert_folder(tmp_path / "model")

    def build(name: str = "run", files: tuple[Path, ...] = (), held: Path | None = None, **given: Any) -> TrainingJob:
        place = tmp_path / name
        place.mkdir(exist_ok=True)
        return TrainingJob(
            method="contrastive",
            model=folder,
            hyperparameters=ContrastiveHyperparameters(**{**SMALL, **given}),
            training_files=tuple(SourceFile(file, file.name) for file in files or (source,)),
            validation_files=() if held is None else (SourceFile(held, held.name),),
            run_dir=place,
            cache_dir=tmp_path / "cache",
            device="cpu",
        )

    return build


def embed(folder: Path, *texts: str) -> np.ndarray:
    handler = load_text(folder).tasks[Task.EMBED]
    return np.stack([each.vector for each in perform(handler, list(map(EmbedItem, texts)))])


def test_pairs_are_drawn_together(job: Build) -> None:
    recorder = Recorder()
    result = run(job(max_steps=60, learning_rate=1e-3, symmetric=True), recorder)
    first, *_, last = recorder.series("eval_loss")
    assert last < first / 2
    assert result.metrics["eval_accuracy"] > 0.5
    assert recorder.verdict["value"] == last and recorder.verdict["baseline"] in ("start", "tfidf")
    assert recorder.chosen["learning_rate"] == 1e-3 and recorder.chosen["pooling"] == "mean"
    a, b, other = embed(result.folder, "The capital", "capital The again", "Water boils")
    assert a @ b > a @ other
    # The head was not trained, so the result has none.
    assert result.tasks == (Task.EMBED,) == tuple(load_text(result.folder).tasks)
    assert any("head is left out" in message for message, _ in recorder.events)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"gradient_accumulation_steps": 2},
        {"positives": "dropout", "text_column": "anchor", "gradient_accumulation_steps": 2},
    ],
)
def test_a_killed_run_ends_as_an_undisturbed_one(job: Build, given: dict[str, Any]) -> None:
    """Dropout is on: its masks, too, are functions of the step."""
    given |= {"dropout": 0.2, "checkpoint_interval": 2, "learning_rate": 1e-3}
    undisturbed = run(job("a", **given), Recorder())
    with pytest.raises(KeyboardInterrupt):
        run(job("b", **given), Recorder(die_at=5))
    recorder = Recorder()
    resumed = run(job("b", **given), recorder)
    assert recorder.events[-1][1]["step"] == 6 and any(
        "Resumed from step 4" in message for message, _ in recorder.events
    )
    assert same(undisturbed, resumed)
    assert undisturbed.metrics == resumed.metrics


def test_micro_batches_give_the_same_result(job: Build) -> None:
    whole, parts = (
        run(job(name, dropout=0.0, batch_size=6, gradient_accumulation_steps=count, max_steps=2), Recorder())
        for name, count in (("whole", 1), ("parts", 3))
    )
    for name, tensor in weights(whole).items():
        np.testing.assert_allclose(weights(parts)[name], tensor, atol=1e-5, err_msg=name)


def test_scores_of_a_validation_file_are_the_measure(job: Build, tmp_path: Path) -> None:
    """The two columns have the names of the STS benchmark."""
    held = tmp_path / "sts.csv"
    rows = [("The capital", "capital The again", 5.0), ("The capital", "Water boils", 0.0), ("brown fox", "Paris.", 1)]
    held.write_text("sentence1,sentence2,score\n" + "\n".join(f"{a},{b},{score}" for a, b, score in rows) + "\n,x,1\n")
    recorder = Recorder()
    result = run(job(held=held, matryoshka_dimensions="8"), recorder)
    assert -1 <= result.metrics["eval_spearman"] <= 1 and "eval_accuracy_8" in result.metrics
    assert recorder.verdict["measure"] == "spearman"
    assert any("3 scored pairs; left out: 1 empty" in message for message, _ in recorder.events)


def test_pairs_of_a_validation_file_are_held_out(job: Build, tmp_path: Path) -> None:
    held = tmp_path / "held.jsonl"
    rows = [{"anchor": f"The {n}", "positive": f"{n} The", "negative": "foxes"} for n in ("capital", "lions", "fox")]
    held.write_text("\n".join(map(json.dumps, rows)))
    recorder = Recorder()
    result = run(job(held=held, max_steps=1), recorder)
    assert result.metrics["eval_candidates"] == 6  # three positives, three hard negatives
    assert recorder.chosen["held_out_samples"] == 3


def test_files_with_weights_and_rows_that_are_no_pairs(job: Build, tmp_path: Path) -> None:
    """Weights count pairs. Rows without a pair are named."""
    other = tmp_path / "more.jsonl"
    rows = [{"anchor": f"a {n}", "positive": f"b {n}"} for n in range(10)] + [
        {"anchor": "x"},
        {"anchor": 1, "positive": "y"},
    ]
    other.write_text("\n".join(map(json.dumps, rows)))
    one = job(max_steps=1, validation_fraction=0.2)
    weighted = replace(one, training_files=(SourceFile(other, other.name, weight=2.0),))
    recorder = Recorder()
    run(weighted, recorder)
    assert recorder.chosen["training_samples"] == 16
    message = next(message for message, _ in recorder.events if message.startswith("more.jsonl"))
    assert "1 null (more.jsonl, line 11: no text in 'positive')" in message
    assert "1 broken (more.jsonl, line 12: expected a text in 'anchor', found int)" in message


@pytest.mark.parametrize(
    ("name", "content", "given", "error"),
    [
        ("a.txt", "A lion.\nA deer.\n", {}, "set positives to dropout"),
        ("a.csv", "question,answer\na,b\n", {}, "Set anchor_column to one of them"),
        ("a.csv", "anchor,positive\na,b\n", {}, "too few"),
        ("a.txt", "A lion.\nA deer.\n", {"positives": "dropout"}, "too few"),
    ],
)
def test_data_that_are_no_pairs_are_refused(
    job: Build, tmp_path: Path, name: str, content: str, given: dict[str, Any], error: str
) -> None:
    file = tmp_path / name
    file.write_text(content)
    with pytest.raises(InvalidData, match=error):
        run(job(files=(file,), **given), Recorder())


def test_a_sequence_beyond_what_the_model_embeds_is_refused(job: Build) -> None:
    with pytest.raises(InvalidValue, match="embeds at most 64 tokens") as error:
        run(job(sequence_length=65), Recorder())
    assert error.value.param == "sequence_length"


def test_a_prompt_that_leaves_no_room_for_text_is_refused(job: Build) -> None:
    """The prompt has six tokens, and two special tokens are around it."""
    small = job(sequence_length=8)
    assert isinstance(small.model, Path)
    settings = {"prompts": {"query": "The capital The capital The capital"}, "default_prompt_name": "query"}
    (small.model / "modules.json").write_text('[{"type": "sentence_transformers.models.Transformer", "path": ""}]')
    (small.model / "config_sentence_transformers.json").write_text(json.dumps(settings))
    with pytest.raises(InvalidValue, match=r"leaves no room for text: .* take 8 tokens") as error:
        prepare(small, Recorder())
    assert error.value.param == "sequence_length"
    prepare(job(sequence_length=9), Recorder())
