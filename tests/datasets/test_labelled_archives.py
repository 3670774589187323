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
