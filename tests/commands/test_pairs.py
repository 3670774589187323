"""Files of `cloze score --pairs`."""

from pathlib import Path

import pytest

from app.commands.pairs import read_pairs
from app.errors import EmptyInput, InvalidValue

PAIRS = [{"good": "The cats sleep.", "bad": "The cats sleeps."}, {"good": "a, b", "bad": "b"}]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("pairs.csv", '\ufeffbad,good,other\nThe cats sleeps.,The cats sleep.,1\nb,"a, b",2\n'),
        ("pairs.TSV", "good\tbad\nThe cats sleep.\tThe cats sleeps.\na, b\tb\n"),
        (
            "blimp.jsonl",
            '{"sentence_good": "The cats sleep.", "sentence_bad": "The cats sleeps.", "UID": 1}\n\n'
            '{"good": "a, b", "bad": "b"}\n',
        ),
    ],
)
def test_pairs_of_files(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    assert read_pairs(str(tmp_path / name)) == PAIRS


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("pairs.csv", "good,bad\na,b\nc\n", "row 3: expected two texts"),
        ("pairs.csv", "one,two\na,b\n", "row 2: expected two texts"),
        ("pairs.jsonl", '{"good": "a", "bad": "b"}\n["a", "b"]\n', "row 2: expected two texts"),
        ("pairs.jsonl", "good bad\n", "row 1: expected two texts"),
        ("pairs.jsonl", '{"good": "a", "bad": ""}\n', "row 1: expected two texts"),
    ],
)
def test_faults_of_files_name_their_row(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InvalidValue, match=message):
        read_pairs(str(tmp_path / name))


def test_a_file_without_pairs(tmp_path: Path) -> None:
    (tmp_path / "pairs.csv").write_text("good,bad\n")
    with pytest.raises(EmptyInput):
        read_pairs(str(tmp_path / "pairs.csv"))
    with pytest.raises(InvalidValue, match="not a file of pairs"):
        read_pairs(str(tmp_path / "missing.csv"))
