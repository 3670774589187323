"""Items with several labels: how cells are read, and which data can be evaluated."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from app.datasets.label_checks import EvaluationData, check_labels
from app.datasets.label_sets import MAX_LABELS, find_strata
from app.datasets.labelled import LabelledColumns, LabelledFile, LabelledItem, LabelledItems, Part
from app.datasets.labelled_files import read_labelled
from app.errors import InvalidData
from app.types import LabelType

SETS = [["b", "a"], ["a"], [], ["c"], ["a", "b"], ["c"]]


def read(folder: Path, filename: str, content: str, separator: str | None = None) -> LabelledItems:
    (folder / filename).write_text(content)
    return read_labelled([LabelledFile(folder / filename, filename)], LabelledColumns(separator=separator))


def lines(sets: list[Any]) -> str:
    return "\n".join(json.dumps({"text": f"text {n}", "label": labels}) for n, labels in enumerate(sets))


def test_lists_are_label_sets_without_being_told(tmp_path: Path) -> None:
    data = check_labels(read(tmp_path, "a.jsonl", lines(SETS)))
    expected = [[1, 1, 0], [1, 0, 0], [0, 0, 0], [0, 0, 1], [1, 1, 0], [0, 0, 1]]
    assert (data.kind, data.classes, data.targets.tolist()) == ("labels", ("a", "b", "c"), expected)
    assert data.class_counts.tolist() == [3, 2, 2]
    assert [item.label for item in data.items[:3]] == ["a, b", "a", "(none)"]
    pq.write_table(pa.table({"text": [f"text {n}" for n in range(6)], "label": SETS}), tmp_path / "a.parquet")
    found = read_labelled([LabelledFile(tmp_path / "a.parquet", "a.parquet")], LabelledColumns())
    assert check_labels(found).targets.tolist() == expected


def test_a_separator_divides_the_labels_of_a_cell(tmp_path: Path) -> None:
    rows = "text,label\nt1,b; a\nt2,a\nt3,\nt4,;\nt5,c;c\nt6,b\n"
    found = read(tmp_path, "a.csv", rows, separator=";")
    assert [item.labels for item in found.items] == [("a", "b"), ("a",), ("c",), ("b",)]
    assert [row.place for row in found.skipped] == ["a.csv, line 4", "a.csv, line 5"]  # nobody has labelled them
    assert check_labels(found).targets.sum(0).tolist() == [2, 2, 1]


@pytest.mark.parametrize(
    ("sets", "label_type", "message"),
    [
        ([["a"], ["b"], "a", "b", "a", "b"], "classes", None),
        ([["a", "b"]] * 4, "auto", "each label belongs to all items or to none"),
        ([[f"label {n}"] for n in range(MAX_LABELS + 1)], "auto", "different labels; the limit is"),
        ([["a"], ["b"], ["c"], ["d"]], "labels", "no label has two items"),
        ([["a"], ["a"], ["b"], ["c"]], "labels", "all items that the test part can have"),
        ([["a", ["b"]], ["a"], ["b"]], "auto", "3 items"),
    ],
)
def test_what_cannot_be_label_sets(tmp_path: Path, sets: list[Any], label_type: LabelType, message: str | None) -> None:
    rows = [*sets, [], "x"] if message == "3 items" else sets
    found = read(tmp_path, "a.jsonl", lines(rows))
    if message is None:
        data: EvaluationData = check_labels(found, label_type)
        assert len(data.items) == 4 and "expected one label, found a list" in data.skipped[0].reason
        return
    if message == "3 items":
        assert found.skipped[0].reason == "there is no label in 'label'"
        return
    with pytest.raises(InvalidData, match=message):
        check_labels(found, label_type)


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        ([["a"], ["b"]], [["a"], ["a"]], "all items of the test part or to none"),
        ([["a"], ["a"]], [["a"], ["b"]], "all items of the training part or to none"),
        ([["a"], ["b"]], [["a", "c"], ["a"]], "no label tells items of the training part apart and also"),
    ],
)
def test_given_parts_that_cannot_be_scored(train: list[Any], test: list[Any], message: str) -> None:
    parts = ((Part.TRAIN, train), (Part.TEST, test))
    rows = [(part, tuple(labels)) for part, sets in parts for labels in sets]
    items = [LabelledItem(f"text {n}", "", part, f"row {n}", labels) for n, (part, labels) in enumerate(rows)]
    with pytest.raises(InvalidData, match=message):
        check_labels(LabelledItems(items))


def test_strata_are_the_rarest_labels() -> None:
    targets = np.array([[1, 1, 0], [1, 0, 0], [0, 0, 0], [0, 0, 1], [1, 1, 0], [0, 0, 1], [1, 0, 1]])
    assert find_strata(targets).tolist() == [1, 0, 3, 2, 1, 2, 2]
