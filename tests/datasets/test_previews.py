"""Previews: what is understood of a file, counted by hand."""

import zipfile
from pathlib import Path

import pytest

from app.datasets import previews, sampling
from app.datasets.previews import Alphabet, LeftOut, Lengths, Preview, PreviewItem
from app.datasets.samples import check_samples
from app.datasets.sampling import sample_documents
from app.media import accepted
from tests.fakes.media import fixture


def preview(path: Path, name: str, content: bytes, **options: int) -> Preview:
    path.write_bytes(content)
    found = sample_documents(path, name, "text", **options).preview  # type: ignore[arg-type]
    assert found is not None
    return found


def test_the_preview_of_sequences_is_exact(tmp_path: Path) -> None:
    found = preview(tmp_path / "content", "a.fasta", b">one\nAAC\n>two\nAC\n>three\n\n>four\nAAC\n>five\nG\n>six\nT\n")
    assert found == Preview(
        items=5,
        share=1.0,
        first=(
            PreviewItem("AAC", "one", 3),
            PreviewItem("AC", "two", 2),
            PreviewItem("AAC", "four", 3),
            PreviewItem("G", "five", 1),
            PreviewItem("T", "six", 1),
        ),
        read_as={"sequences": 1},
        lengths=Lengths("characters", 1, 2, 3, 3),
        alphabet=Alphabet(4, (("A", 5), ("C", 3), ("G", 1), ("T", 1))),
        duplicate_share=pytest.approx(0.2),
        left_out=(LeftOut("empty", 1, "a.fasta, line 5"),),
    )


def test_long_items_and_alphabets_are_shortened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(previews, "MAX_CHARACTERS", 2)
    text = "x" * 300 + "y" * 30 + "z"
    found = preview(tmp_path / "content", "a.txt", "\n".join([text] * 20).encode())
    assert found.first == (PreviewItem("x" * 199 + "…", None, 331),) * 5
    assert found.alphabet == Alphabet(3, (("x", 6000), ("y", 600)))
    assert found.duplicate_share == pytest.approx(0.95) and found.read_as == {"lines": 1}


def test_documents_of_other_lengths_are_counted_as_left_out(tmp_path: Path) -> None:
    lines = b"\n".join(b"lion" * number for number in range(1, 101))
    found = preview(tmp_path / "content", "a.log", lines, min_characters=9, max_characters=380)
    assert found.items == 93 and found.lengths == Lengths("characters", 12, 196, 364, 380)
    assert found.left_out == (
        LeftOut("shorter than min_characters", 2, "lion"),
        LeftOut("longer than max_characters", 5, ("lion" * 96)[:199] + "…"),
    )


def test_the_preview_of_a_long_file_describes_its_beginning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "MAX_BYTES", 1000)
    found = preview(tmp_path / "content", "a.log", b"".join(b"lion %05d\n" % number for number in range(10_000)))
    assert found.items == 100 and 0 < found.share < 1 and found.first[0].text == "lion 00000"


def test_the_preview_of_media_has_names_and_what_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "content"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("notes.txt", b"hello")
        archive.writestr("a/photo.jpg", fixture("photo.jpg"))
        archive.writestr("b/grey.png", fixture("grey.png"))
    found = check_samples(path, "a.zip", accepted.IMAGES).preview
    assert found is not None and (found.items, found.share) == (2, 1.0)
    assert [(item.text, item.name) for item in found.first] == [(None, "a/photo.jpg"), (None, "b/grey.png")]
    assert found.left_out == (LeftOut("another kind of file", 1, "notes.txt: text"),)
    assert found.alphabet is None and found.duplicate_share is None
