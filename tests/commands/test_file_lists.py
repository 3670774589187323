"""Lists of media files become archives."""

import tarfile
from pathlib import Path

import pytest

from app.commands.file_lists import is_list, pack_list
from app.errors import InvalidValue


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("data/a.wav", "data/sub/b.wav", "other/c.wav"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    return tmp_path / "data"


def names(path: Path, column: str | None = None) -> list[str]:
    target = path.parent / "packed.tar"
    pack_list(path, target, column)
    with tarfile.open(target) as archive:
        return archive.getnames()


@pytest.mark.parametrize(
    ("name", "content", "column"),
    [
        ("clips.lst", "sub/b.wav\n\na.wav\nsub/b.wav\n../other/c.wav\n", None),
        ("wav.scp", "u1 sub/b.wav\nu2 a.wav\nu3 ../other/c.wav\n", None),
        ("clips.csv", "path,text\r\nsub/b.wav,x\r\na.wav,y\r\n../other/c.wav,\r\n", "path"),
        ("clips.tsv", "text\tpath\nx\tsub/b.wav\ny\ta.wav\nz\t../other/c.wav\n", "path"),
    ],
)
def test_the_listed_files_are_packed_in_their_order(folder: Path, name: str, content: str, column: str | None) -> None:
    (folder / name).write_text(content)
    assert is_list(folder / name, column)
    assert names(folder / name, column) == ["sub/b.wav", "a.wav", "000002/c.wav"]


def test_a_table_is_a_list_only_with_a_column(folder: Path) -> None:
    assert not is_list(Path("a.csv"), None) and not is_list(Path("a.txt"), "path")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.lst", "a.wav\nnone.wav\n", "not there: line 2: none.wav"),
        ("a.lst", "\n", "lists no files"),
        ("a.scp", "u1 sph2pipe x |\n", "line 1: expected an id and a path; commands are not run"),
        ("a.csv", "file\na.wav\n", "no column 'path'; it has: file"),
    ],
)
def test_what_is_wrong_with_a_list_is_said(folder: Path, name: str, content: str, message: str) -> None:
    (folder / name).write_text(content)
    with pytest.raises(InvalidValue, match=message):
        names(folder / name, "path")
