"""The check of a contrastive job's files before it is queued."""

import json
from pathlib import Path
from typing import Any

import pytest

from app.datasets.sampling import DocumentSample
from app.errors import InvalidData
from app.methods import ContrastiveHyperparameters
from app.modalities.estimator import CheckedFiles, DataAmount
from app.modalities.text import TEXT

PAIR = {"anchor": "a", "positive": "b"}
SCORED = {"sentence1": "a", "sentence2": "b", "score": 1}
TEXTS = {"positives": "dropout"}


@pytest.fixture
def estimate(tmp_path: Path) -> Any:
    """Returns a function that checks files of rows. Its model has no tokenizer."""

    def read(rows: list[dict[str, Any]], hp: ContrastiveHyperparameters) -> DocumentSample:
        path = tmp_path / "content"
        path.write_text("\n".join(map(json.dumps, rows)))
        return TEXT.check(hp)(path, "a.jsonl")

    def check(training: list[Any], held_out: list[Any] | None = None, **given: Any) -> DataAmount:
        hp = ContrastiveHyperparameters(**given)
        held = None if held_out is None else read(held_out, hp)
        files = CheckedFiles([read(training, hp)], (1.0,), held)
        return TEXT.estimator("contrastive").amount("tiny", hp, files, lambda model: tmp_path)

    return check


@pytest.mark.parametrize(
    ("training", "held_out", "given", "param", "message"),
    [
        ([SCORED] * 9, None, {}, "training_file", "without the columns 'anchor' and 'positive'"),
        ([SCORED] * 9, None, TEXTS, "training_file", "without the column 'text'"),
        ([PAIR] * 3, None, {}, "training_file", "is 3; there must be at least 2 to train on, and 2 to hold out"),
        ([PAIR] * 3, [SCORED] * 9, {}, "training_file", "and 2 to hold out"),
        ([PAIR], [PAIR] * 9, {}, "training_file", "is 1; there must be at least 2 to train on"),
        ([PAIR] * 9, [PAIR], {}, "validation_file", "is 1; there must be at least 2 to hold out"),
    ],
)
def test_files_that_cannot_be_used_are_refused(
    estimate: Any, training: list[Any], held_out: list[Any] | None, given: dict[str, Any], param: str, message: str
) -> None:
    with pytest.raises(InvalidData, match=message) as error:
        estimate(training, held_out, **given)
    assert error.value.param == param


@pytest.mark.parametrize(
    ("training", "held_out", "given"),
    [
        ([PAIR] * 2, [PAIR] * 2, {}),
        ([PAIR] * 4, [SCORED], {}),
        ([{**PAIR, "score": 1}] * 4, None, {}),
        ([{"text": "a"}] * 4, [SCORED], TEXTS),
    ],
)
def test_files_that_can_be_used_are_counted(
    estimate: Any, training: list[Any], held_out: list[Any] | None, given: dict[str, Any]
) -> None:
    assert estimate(training, held_out, **given).documents == len(training)


def test_without_a_share_to_hold_out_an_epoch_has_all_pairs(estimate: Any) -> None:
    split, whole = estimate([PAIR] * 8, validation_fraction=0.25), estimate([PAIR] * 8, [PAIR] * 2)
    assert split.epoch_tokens == pytest.approx(0.75 * whole.epoch_tokens)
