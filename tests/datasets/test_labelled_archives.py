"""Labelled archives: classes by folders, or by a table of the archive."""

import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from app.datasets.labelled import LabelledColumns, LabelledFile, LabelledItems, Part
from app.datasets.labelled_files import read_labelled
from app.errors import InvalidData
from app.media.images import encode_png


def picture(value: int) -> bytes:
    return encode_png(np.full((4, 4, 3), value, np.uint8))


def read(folder: Path, files: dict[str, bytes | str], columns: LabelledColumns | None = None) -> LabelledItems:
    path = folder / "pictures.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return read_labelled([LabelledFile(path, path.name)], columns or LabelledColumns(), "image")


def test_a_folder_is_a_class_and_the_folder_around_it_a_part(tmp_path: Path) -> None:
    found = read(tmp_path, {f"data/{part}/{label}/1.png": picture(1) for part in ("train", "test") for label in "ab"})
    assert [(item.label, item.part) for item in found.items] == [
        ("a", Part.TEST),
        ("b", Part.TEST),
        ("a", Part.TRAIN),
        ("b", Part.TRAIN),
    ]
    files = {"a/1.png": picture(1), "b/1.png": picture(2), "c/2.png": picture(3), "top.png": picture(1)}
    found = read(tmp_path, {**files, "b/notes.txt": "text", "__MACOSX/a/._1.png": b"x"})
    assert [(item.label, item.part) for item in found.items] == [(label, Part.EITHER) for label in "abc"]
    assert [row.place for row in found.skipped] == ["pictures.zip/b/notes.txt", "pictures.zip/top.png"]
    assert "expected an image" in found.skipped[0].reason and "in no folder" in found.skipped[1].reason


def test_labels_of_a_table_in_the_archive(tmp_path: Path) -> None:
    files = {f"set/{n}.png": picture(n) for n in range(5)}
    rows = "filename,kind,split\n0.png,x,train\nset/1.png,y,test\n9.png,x,train\n2.png,,train\n3.png,y,train\n"
    columns = LabelledColumns(label="kind", split="split")
    found = read(tmp_path, {**files, "set/labels.csv": rows}, columns)
    assert [(item.content, item.label, item.part) for item in found.items] == [
        (picture(0), "x", Part.TRAIN),
        (picture(1), "y", Part.TEST),
        (picture(3), "y", Part.TRAIN),
    ]
    assert [row.place for row in found.skipped] == [f"pictures.zip/set/labels.csv, line {n}" for n in (4, 5)]
    assert "no file '9.png'" in found.skipped[0].reason
    assert found.unused == 2  # files without a row, such as those that nobody has labelled yet
    with pytest.raises(InvalidData, match=r"no column 'label'.*Set label_column"):
        read(tmp_path, {**files, "set/labels.csv": rows})


def test_an_archive_that_is_one_part_ignores_no_folder_named_for_another(tmp_path: Path) -> None:
    files: dict[str, bytes | str] = {f"train/{label}/{n}.png": picture(n) for n in (1, 2) for label in "ab"}
    read(tmp_path, {**files, "test/group/a/1.png": picture(3)})
    training = LabelledFile(tmp_path / "pictures.zip", "pictures.zip", Part.TRAIN)
    found = read_labelled([training], LabelledColumns(), "image")
    assert [item.part for item in found.items] == [Part.TRAIN] * 4
    assert found.skipped[0].place == "pictures.zip/test/group/a/1.png"
    assert "names the test part, but all of `file` is for training" in found.skipped[0].reason


def test_items_of_no_part_beside_parts_are_named(tmp_path: Path) -> None:
    files: dict[str, bytes | str] = {
        f"{part}/{label}/1.png": picture(1) for part in ("train", "test") for label in "ab"
    }
    found = read(tmp_path, {**files, "more/a/2.png": picture(2)})
    assert len(found.items) == 4
    assert found.skipped[0].place == "pictures.zip/more/a/2.png" and "no part" in found.skipped[0].reason


def test_tables_in_an_archive_that_cannot_be_told_apart(tmp_path: Path) -> None:
    rows = '{"file": "1.png", "note": 1}\n{"file": "1.png", "label": "x"}\n{"file": "2.png", "label": "y"}'
    files = {"1.png": picture(1), "2.png": picture(2), "labels.jsonl": rows}
    assert [item.label for item in read(tmp_path, files).items] == ["x", "y"]  # the first row stands for no other
    with pytest.raises(InvalidData, match=r"'labels.jsonl' and 'old/labels.csv' are both tables of labels"):
        read(tmp_path, {**files, "old/labels.csv": "file,label\n1.png,z\n"})


def test_files_of_the_wrong_kind(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text,label\na,x\n")
    with pytest.raises(InvalidData, match="expected an archive"):
        read_labelled([LabelledFile(path, "a.csv")], LabelledColumns(), "image")
    with pytest.raises(InvalidData, match="expected a table"):
        read_labelled([LabelledFile(path, "a.zip")], LabelledColumns())


def test_a_tar_is_read_too(tmp_path: Path) -> None:
    path = tmp_path / "pictures.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name in ("a/1.png", "b/2.png"):
            member = tarfile.TarInfo(name)
            member.size = len(picture(1))
            archive.addfile(member, io.BytesIO(picture(1)))
    found = read_labelled([LabelledFile(path, path.name)], LabelledColumns(), "image")
    assert [item.label for item in found.items] == ["a", "b"]
