"""Labelled tables: which rows become items, and what is said about the others."""

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from app.datasets.label_checks import check_labels
from app.datasets.labelled import LabelledColumns, LabelledFile, LabelledItems, Part
from app.datasets.labelled_files import read_labelled
from app.errors import InvalidData


def read(folder: Path, filename: str, content: bytes | str, **columns: Any) -> LabelledItems:
    path = folder / "content"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_labelled([LabelledFile(path, filename)], LabelledColumns(**columns))


def items(found: LabelledItems) -> list[tuple[str, str]]:
    return [(item.content, item.label) for item in found.items]


EXPECTED = [("good", "1"), ("bad, really", "0")]


@pytest.mark.parametrize(
    ("filename", "content"),
    [
        ("a.csv", 'label,text\n1,good\n0,"bad, really"\n'),
        ("a.tsv", "text\tlabel\ngood\t1\nbad, really\t0\n"),
        ("a.jsonl", '{"text": "good", "label": 1}\n\n{"text": "bad, really", "label": "0"}\n'),
        ("a.json", '[{"text": "good", "label": 1}, {"text": "bad, really", "label": 0}]'),
        ("a.csv.gz", gzip.compress(b'label,text\n1,good\n0,"bad, really"\n')),
    ],
)
def test_tables_of_each_format(tmp_path: Path, filename: str, content: bytes | str) -> None:
    assert items(read(tmp_path, filename, content)) == EXPECTED


@pytest.mark.parametrize("labels", [[1, 0], ["1", "0"], pa.array(["1", "0"]).dictionary_encode()])
def test_parquet_with_labels_of_each_type(tmp_path: Path, labels: Any) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": [text for text, _ in EXPECTED], "label": labels}), path)
    assert items(read_labelled([LabelledFile(path, "a.parquet")], LabelledColumns())) == EXPECTED


def test_fields_of_the_headers_of_sequences_are_columns(tmp_path: Path) -> None:
    proteins = (
        ">sp|P1|A_HUMAN Alpha OS=Homo sapiens OX=9606\nMK\nV\n>sp|P2|B_YEAST Beta OS=Saccharomyces cerevisiae\nMA\n"
    )
    found = read(tmp_path, "a.fasta", proteins, label="organism")
    assert items(found) == [("MKV", "Homo sapiens"), ("MA", "Saccharomyces cerevisiae")]
    assert items(read(tmp_path, "a.fastq", "@r1 run=x\nACGT\n+\nIIII\n", label="run")) == [("ACGT", "x")]
    assert items(read(tmp_path, "a.smi", "CCO ethanol\nO water\n", label="id")) == [("CCO", "ethanol"), ("O", "water")]
    with pytest.raises(InvalidData, match=r"no field 'strain'.*organism"):
        read(tmp_path, "a.fasta", proteins, label="strain")


@pytest.mark.parametrize("filename", ["a.jsonl", "a.json"])
def test_the_first_row_does_not_stand_for_the_others(tmp_path: Path, filename: str) -> None:
    rows = [{"label": "x"}, *({"text": text, "label": text} for text in "ab"), {"text": "c", "extra": 1}]
    lines = [json.dumps(row) for row in rows]
    found = read(tmp_path, filename, "\n".join(lines) if filename == "a.jsonl" else f"[{','.join(lines)}]")
    assert items(found) == [("a", "a"), ("b", "b")]
    assert len(found.skipped) == 2 and "found nothing" in found.skipped[0].reason
    with pytest.raises(InvalidData, match=r"no field 'other' in the first 4 records; found 'label', 'text'"):
        read(tmp_path, "a.jsonl", "\n".join(lines), label="other")


def test_a_check_of_the_beginning_reads_on_to_the_first_usable_row(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text,label\n" + "unlabelled,\n" * 5 + "a,x\nb,y\n")
    file = LabelledFile(path, "a.csv", field="validation_file")
    found = read_labelled([file], LabelledColumns(), limit=3)
    assert (items(found), found.is_partial, found.skipped_count) == ([("a", "x")], True, 5)
    with pytest.raises(InvalidData, match="2 rows can be used, 5 cannot"):
        read_labelled([file], LabelledColumns())
    with pytest.raises(InvalidData, match="no column 'topic'") as error:
        read_labelled([file], LabelledColumns(label="topic"))
    assert error.value.param == "validation_file"
    with pytest.raises(InvalidData) as error:
        read_labelled([file], LabelledColumns(), sequences=file._replace(field="sequence_file"))
    assert error.value.param == "sequence_file"


def test_halves_of_emoji_in_labels_are_replaced(tmp_path: Path) -> None:
    assert items(read(tmp_path, "a.jsonl", r'{"text": "a \ud83d", "label": "b \ud83d"}')) == [("a \ufffd", "b \ufffd")]
    with pytest.raises(InvalidData) as error:
        read(tmp_path, "a.jsonl", r'{"te\ud83d": "a"}')
    assert error.value.message.encode()


def test_every_bad_row_is_named_with_its_line(tmp_path: Path) -> None:
    rows = ['{"text": "a", "label": "x"}'] * 6
    rows[2:2] = ["{broken", '{"text": " ", "label": "x"}', '{"text": 3, "label": "x"}', '{"text": "a"}', "7"]
    found = read(tmp_path, "a.jsonl", "\n".join(rows))
    assert [row.place for row in found.skipped] == [f"a.jsonl, line {line}" for line in (3, 4, 5, 6, 7)]
    reasons = [row.reason for row in found.skipped]
    for reason, words in zip(reasons, ["JSON", "empty", "found int", "no label", "JSON object"], strict=True):
        assert words in reason
    found = read(tmp_path, "a.csv", 'text,label\n"two\nlines",x\nb\nc,x,y\nd,x\n')
    assert [row.place for row in found.skipped] == ["a.csv, line 4", "a.csv, line 5"]
    with pytest.raises(InvalidData, match=r"1 rows can be used, 2 cannot: a.csv, line 3: expected 2 fields"):
        read(tmp_path, "a.csv", "text,label\na,x\nb\nc,x,y\n")


@pytest.mark.parametrize(
    ("filename", "content", "message"),
    [
        ("a.csv", "text,target\na,x\n", "no column 'label'.*Set label_column"),
        ("a.jsonl", '{"sentence": "a", "label": 1}', "no field 'text'.*Set text_column"),
        ("a.txt", "some text", "a table with labels is one of .csv"),
        ("a.csv", 'text,label\n"a,x\nb,y\n', "quote"),
        ("a.csv", "text,label\n", "no rows"),
        ("a.csv", "text,label,label\na,x,y\n", "2 columns are named 'label'"),
    ],
)
def test_files_that_are_no_such_table(tmp_path: Path, filename: str, content: str, message: str) -> None:
    with pytest.raises(InvalidData, match=message):
        read(tmp_path, filename, content)


def table(*rows: tuple[str, str, str]) -> str:
    return "\n".join(json.dumps({"text": text, "label": label, "split": split}) for text, label, split in rows)


def test_the_validation_part_is_for_scores_only_without_a_test_part(tmp_path: Path) -> None:
    rows = [("a", "x", "train"), ("b", "y", "Training"), ("c", "x", "dev"), ("d", "y", "other")]
    found = read(tmp_path, "a.jsonl", table(*rows), split="split")
    assert [item.part for item in found.items] == [Part.TRAIN, Part.TRAIN, Part.TEST]
    assert "'other' in 'split' is not one of" in found.skipped[0].reason
    found = read(tmp_path, "a.jsonl", table(*rows, ("e", "x", "test")), split="split")
    assert [item.content for item in found.items] == ["a", "b", "e"]
    assert found.unused == 1


def test_duplicates_between_the_parts_are_dropped_from_the_training_part(tmp_path: Path) -> None:
    rows = [("C1  C", "x", "train"), ("c1 c", "y", "train"), ("b", "x", "train"), ("C1 C", "x", "test")]
    data = check_labels(read(tmp_path, "a.jsonl", table(*rows, ("e", "y", "test")), split="split"))
    assert [item.content for item in data.items] == ["c1 c", "b", "C1 C", "e"]  # case counts: these are SMILES
    assert data.duplicates == [("a.jsonl, line 1", "a.jsonl, line 4")]
    assert "line 1 repeats" in data.warnings[0]


def test_texts_with_two_labels_are_a_warning(tmp_path: Path) -> None:
    rows = [(text, label, "") for text, label in zip("abcda", "xyxyy", strict=True)]
    data = check_labels(read(tmp_path, "a.jsonl", table(*rows)))
    assert len(data.items) == 4
    assert "1 items have the content of another item, but a different label" in data.warnings[1]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([(text, "x", "train") for text in "abcd"], "every label is 'x'"),
        ([("a", "x", "train"), ("b", "y", "train"), ("c", "x", "train"), ("d", "x", "train")], "test part"),
        ([("a", "x", "train"), ("b", "x", "train"), ("c", "y", "test"), ("d", "x", "test")], "one class only, 'x'"),
        ([("a", "x", "train"), ("b", "y", "test")], "2 items"),
    ],
)
def test_data_that_cannot_be_evaluated(tmp_path: Path, rows: list[tuple[str, str, str]], message: str) -> None:
    with pytest.raises(InvalidData, match=message):
        check_labels(read(tmp_path, "a.jsonl", table(*rows), split="split"))


def test_numbers_are_a_regression(tmp_path: Path) -> None:
    content = "text,label\n" + "".join(f"text {n},{n % 25 / 2}\n" for n in range(50))
    data = check_labels(read(tmp_path, "a.csv", content))
    assert (data.has_classes, data.targets[3]) == (False, 1.5)
    assert check_labels(read(tmp_path, "a.csv", content), "classes").has_classes
    data = check_labels(read(tmp_path, "a.csv", content + "last,none\nbeyond,-1e308\n"))
    assert (len(data.items), data.has_classes) == (50, False)
    assert data.skipped[0].place == "a.csv, line 52"
    assert data.skipped[1].reason == "the label '-1e308' is not a number from -1e+100 to 1e+100"
    assert "set label_type to classes if all are classes: a.csv, line 52 (none)" in data.warnings[0]
    words = "".join(f"more {n},word {n % 3}\n" for n in range(50))
    assert check_labels(read(tmp_path, "a.csv", content + words)).has_classes


def test_sequences_are_named_by_the_table(tmp_path: Path) -> None:
    fasta, rows = tmp_path / "a.fasta", tmp_path / "labels.csv"
    fasta.write_text(">sp|P1 first protein\nMKV\nLL\n>P2\nAAC\n")
    rows.write_text("id,label\nsp|P1,x\nP2,y\nP3,x\nsp|P1 first protein,z\n")
    found = read_labelled(
        [LabelledFile(rows, "labels.csv")], LabelledColumns(text="id"), sequences=LabelledFile(fasta, "a.fasta")
    )
    assert items(found) == [("MKVLL", "x"), ("AAC", "y"), ("MKVLL", "z")]
    assert "no sequence is named 'P3'" in found.skipped[0].reason
