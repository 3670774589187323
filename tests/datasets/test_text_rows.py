"""Rows of texts for evaluations without classes: which rows are used, and what is said about the others."""

import json
from pathlib import Path
from typing import Any

import pytest

from app.datasets.labelled import LabelledFile
from app.datasets.text_rows import DEFAULT_COLUMNS, MAX_GROUPS, TextRows, name_columns, read_text_rows
from app.errors import InvalidData
from app.types import TextMethod


def read(
    folder: Path, content: list[dict[str, Any]] | str, method: TextMethod, name: str = "a.jsonl", **columns: str
) -> TextRows:
    path = folder / "content"
    path.write_text(content if isinstance(content, str) else "\n".join(map(json.dumps, content)))
    return read_text_rows(LabelledFile(path, name), method, {**DEFAULT_COLUMNS[method], **columns})


def test_pairs_have_scores_and_rows_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    rows = [
        {"text": " A cat. ", "pair": "A dog.", "label": 2.5},
        {"text": "A cat.", "pair": "A cat.", "label": "5"},
        {"text": "A fox.", "pair": "A dog.", "label": 1},
        {"text": "A fox.", "pair": "A cow.", "label": 1e100},
        {"text": "A cat.", "pair": "A dog.", "label": "high"},
        {"text": "A cat.", "pair": "A dog.", "label": -1e308},
        {"text": "A cat.", "pair": "", "label": 1},
        {"text": "A cat.", "label": True, "pair": 7},
    ]
    found = read(tmp_path, rows, "sts")
    assert [(row.texts, row.score) for row in found.rows] == [
        (("A cat.", "A dog."), 2.5),
        (("A cat.", "A cat."), 5.0),
        (("A fox.", "A dog."), 1.0),
        (("A fox.", "A cow."), 1e100),
    ]
    assert [(row.place, row.reason) for row in found.skipped] == [
        ("a.jsonl, line 5", "expected a number in 'label', found 'high'"),
        ("a.jsonl, line 6", "the number in 'label' is beyond ±1e+100"),
        ("a.jsonl, line 7", "the text in 'pair' is empty"),
        ("a.jsonl, line 8", "expected a text in 'pair', found int"),
    ]


def test_minimal_pairs_have_groups_and_differ(tmp_path: Path) -> None:
    content = "good,bad,field\nIt is.,It are.,syntax\nHe was.,He were.,7\nShe is.,She is.,syntax\n"
    found = read(tmp_path, content, "minimal_pairs", "a.csv", group_column="field")
    assert [(row.texts, row.group) for row in found.rows] == [
        (("It is.", "It are."), "syntax"),
        (("He was.", "He were."), "7"),
    ]
    assert found.skipped[0].reason == "the two texts are equal"


def test_there_is_a_limit_of_groups(tmp_path: Path) -> None:
    rows = [{"text": "a", "pair": "b", "label": n, "id": n} for n in range(MAX_GROUPS + 1)]
    assert len(read(tmp_path, rows[:-1], "sts", group_column="id").rows) == MAX_GROUPS
    with pytest.raises(InvalidData, match="the column 'id' has more than 1,000 groups") as caught:
        read(tmp_path, rows, "sts", group_column="id")
    assert caught.value.param == "group_column"


def test_held_out_texts_are_of_any_file_of_texts(tmp_path: Path) -> None:
    found = read(tmp_path, "The first text.\nThe second text.\n", "masked_accuracy", "a.txt")
    assert [(row.texts, row.place) for row in found.rows] == [
        (("The first text.",), "a.txt, text 1"),
        (("The second text.",), "a.txt, text 2"),
    ]


@pytest.mark.parametrize(
    ("rows", "method", "message"),
    [
        ([{"text": "a", "other": "b", "label": 1}], "sts", "Set pair_column to one of them"),
        ([{"text": "a", "pair": "b", "label": 3}] * 3, "sts", "every score is 3"),
        ([{"text": "a", "pair": "b", "label": 3}], "sts", "1 rows can be used"),
        ([{"good": "a", "bad": "a"}] * 3, "minimal_pairs", "the two texts are equal"),
    ],
)
def test_files_that_cannot_be_used_are_refused(
    tmp_path: Path, rows: list[dict[str, Any]], method: TextMethod, message: str
) -> None:
    with pytest.raises(InvalidData, match=message):
        read(tmp_path, rows, method)


def test_columns_are_those_that_a_method_reads() -> None:
    given = {"text": "a", "pair": "b", "label": "c", "group": "d"}
    assert list(name_columns("sts", **given).values()) == ["a", "b", "c", "d"]
    assert list(name_columns("minimal_pairs", **{**given, "group": None}).values()) == ["a", "b"]
