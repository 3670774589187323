"""Pairs and scored pairs of tables."""

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from app.datasets.pairs import PairColumns, has_scores, read_pairs, read_scored, sample_pairs
from app.datasets.reports import Report
from app.errors import InvalidData

ROWS = [{"anchor": "a", "positive": "b", "negative": "c"}, {"anchor": " d ", "positive": "e", "negative": None}]
PAIRS = [("a", "b", "c"), ("d", "e", "")]


def write(folder: Path, name: str, rows: list[Any]) -> Path:
    path = folder / name
    if ".parquet" in name:
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif ".csv" in name:
        lines = [",".join(rows[0]), *(",".join(str(value or "") for value in row.values()) for row in rows)]
        path.write_text("\n".join(lines))
    else:
        text = "\n".join(map(json.dumps, rows)).encode()
        path.write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    return path


def read(path: Path, columns: PairColumns | None = None) -> tuple[list[Any], Report]:
    report = Report()
    with path.open("rb") as file:
        return list(read_pairs(file, path.name, columns or PairColumns(), report)), report


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.csv", "a.parquet"])
def test_every_format_has_the_same_pairs(tmp_path: Path, name: str) -> None:
    found, report = read(write(tmp_path, name, ROWS))
    assert found == PAIRS and report.usable == 2


def test_columns_have_other_names_and_more_are_ignored(tmp_path: Path) -> None:
    rows = [{"id": 1, "q": "a", "text": "b", "embedding": [1.0, 2.0]}]
    found, _ = read(write(tmp_path, "a.parquet", rows), PairColumns(anchor="q", positive="text"))
    assert found == [("a", "b", "")]


@pytest.mark.parametrize("name", ["a.jsonl", "a.parquet"])
def test_columns_that_are_not_read_may_hold_anything(tmp_path: Path, name: str) -> None:
    nested = [1.0, 2.0]
    pairs = write(tmp_path, name, [{"anchor": "a", "positive": "b", "score": nested, "sentence1": nested}])
    assert sample_pairs(pairs, name, PairColumns()).texts == ("a", "b")
    with pairs.open("rb") as file:
        assert not has_scores(file, name, PairColumns())
    scored = write(tmp_path, name, [{"anchor": nested, "sentence1": "a", "sentence2": "b", "score": 1}])
    with scored.open("rb") as file:
        assert list(read_scored(file, name, PairColumns(), Report())) == [("a", "b", 1.0)]


def test_a_missing_column_is_named_with_those_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(
        InvalidData, match=r"no column 'positive' in the header; found 'anchor', 'answer'\. Set positive_column"
    ):
        read(write(tmp_path, "a.csv", [{"anchor": "a", "answer": "b"}]))


@pytest.mark.parametrize(
    ("columns", "scored"),
    [
        (("anchor", "positive", "score"), True),
        (("sentence1", "sentence2", "score"), True),
        (("anchor", "positive", "label"), False),
        (("text", "note", "score"), False),
    ],
)
def test_a_file_of_scores_has_two_texts_and_a_score(tmp_path: Path, columns: tuple[str, ...], scored: bool) -> None:
    for name in ("a.jsonl", "a.parquet"):
        path = write(tmp_path, name, [dict(zip(columns, ("a", "b", 1.5), strict=True))])
        with path.open("rb") as file:
            assert has_scores(file, path.name, PairColumns()) == scored


def test_a_table_without_any_known_column_has_no_scores(tmp_path: Path) -> None:
    path = write(tmp_path, "a.parquet", [{"question": "a"}])
    with path.open("rb") as file:
        assert not has_scores(file, path.name, PairColumns())


def test_scores_are_numbers(tmp_path: Path) -> None:
    scores = (1, "2.5", None, "many", float("nan"), True, 10**400, "9" * 400)
    rows = [{"sentence1": "a", "sentence2": "b", "score": score} for score in scores]
    path, report = write(tmp_path, "a.jsonl", rows), Report()
    with path.open("rb") as file:
        found = list(read_scored(file, path.name, PairColumns(), report))
    assert [pair.score for pair in found] == [1.0, 2.5]
    assert "6 broken (a.jsonl, line 3: expected a number in 'score', found nothing, …)" in report.summary()


def test_a_sample_counts_rows(tmp_path: Path) -> None:
    sample = sample_pairs(write(tmp_path, "a.jsonl", ROWS), "a.jsonl", PairColumns())
    assert (sample.documents, sample.bytes, sample.whole, sample.texts) == (2, 5, True, ("a", "b", "c", "d", "e"))
    rows = [{"sentence1": "a", "sentence2": "b", "score": 1}]
    assert sample_pairs(write(tmp_path, "b.csv", rows), "b.csv", PairColumns()).documents == 1
