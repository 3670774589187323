import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from app.datasets import samples as looked
from app.datasets.reports import EXAMPLES, Reason, Report
from app.datasets.samples import check_samples, read_samples
from app.errors import InvalidData
from app.media import accepted
from tests.fakes.media import IMAGES, SOUNDS, VIDEOS, fixture


def archive(folder: Path, files: dict[str, bytes]) -> Path:
    path = folder / "content"
    with zipfile.ZipFile(path, "w") as out:
        for name, data in files.items():
            out.writestr(name, data)
    return path


def test_only_the_modality_is_kept_and_the_rest_is_counted(tmp_path: Path) -> None:
    path = archive(tmp_path, {name: fixture(name) for name in (*IMAGES, *SOUNDS, *VIDEOS)} | {"empty.jpg": b""})
    for modality, names in ((accepted.IMAGES, IMAGES), (accepted.SOUNDS, SOUNDS), (accepted.VIDEOS, VIDEOS)):
        report = Report()
        found = list(read_samples(path, "data.zip", modality, report=report))
        # Names of one key, as tone.flac and tone.wav, stay neighbours of their own.
        assert sorted(sample.name for sample in found) == sorted(names)
        assert report.usable == len(names) and set(report.skipped) <= {Reason.OTHER_KIND}
    assert "empty.jpg: an empty file" in report.skipped[Reason.OTHER_KIND].examples


def test_files_of_one_key_are_a_sample(tmp_path: Path) -> None:
    files = {
        "train/000123.cls": b"7",
        "train/000123.jpg": fixture("photo.jpg"),
        "train/000123.meta.json": b"{}",
        "train/000124.cls": b"8",
        "train/000124.png": fixture("photo.png"),
        "train/000125.cls": b"9",
    }
    report = Report()
    found = list(read_samples(archive(tmp_path, files), "data.zip", accepted.IMAGES, report=report))
    assert [(s.key, s.name) for s in found] == [
        ("train/000123", "train/000123.jpg"),
        ("train/000124", "train/000124.png"),
    ]
    assert [s.beside for s in found] == [{"cls": b"7", "meta.json": b"{}"}, {"cls": b"8"}]
    assert report.skipped[Reason.OTHER_KIND].examples == ["train/000125.cls: text"]
    assert report.skipped[Reason.BESIDE].count == 3


@pytest.mark.parametrize("dot", [".", "_"])
def test_dots_in_names_hide_no_file(tmp_path: Path, dot: str) -> None:
    picture, other = fixture("photo.jpg"), b"\0\0\0\x18ftypheic"
    files = {f"IMG{dot}2024{dot}{n:02}.{'heic' if n % 4 else 'jpg'}": other if n % 4 else picture for n in range(32)}
    files["photo.1.txt"] = files["photo 2024.01.05 12.30.txt"] = b"a note"
    files["photo.2.jpg"] = picture
    report = Report()
    found = list(read_samples(archive(tmp_path, files), "data.zip", accepted.IMAGES, report=report))
    assert len(found) == report.usable == 9 and report.skipped[Reason.OTHER_KIND].count == 24 + 2
    assert not any(sample.beside for sample in found)


def test_many_files_of_one_key_are_not_gathered(tmp_path: Path) -> None:
    files = {f"film.{i:04d}.png": fixture("photo.png") for i in range(40)}
    report = Report()
    path = archive(tmp_path, files)
    assert [s.name for s in read_samples(path, "x.zip", accepted.IMAGES, report=report)] == sorted(files)
    assert report.usable == 40


def test_a_report_tells_counts_examples_and_the_share_of_faulty_files() -> None:
    report = Report()
    for index in range(10):
        report.usable += 1
        report.skip(Reason.HIDDEN, f".{index}")
    assert report.faulty_share == 0
    report.mark_broken("a.jpg", "cut off")
    report.mark_broken("b.jpg", "cut off")
    assert (report.usable, report.faulty_share) == (8, 0.2)
    assert len(report.skipped[Reason.HIDDEN].examples) == EXAMPLES
    assert report.summary() == "10 hidden (.0, …), 2 broken (a.jpg: cut off, …)"
    report.check("images", max_faulty_share=0.2)
    with pytest.raises(InvalidData, match=r"8 images are usable; skipped: 10 hidden .* 2 broken"):
        report.check("images", max_faulty_share=0.1)


def test_nothing_usable_is_an_error() -> None:
    with pytest.raises(InvalidData, match="0 images are usable; skipped: nothing"):
        Report().check("images")


def test_the_light_look_tells_what_was_found(tmp_path: Path) -> None:
    path = archive(tmp_path, {"a.txt": b"text", "tone.flac": fixture("tone.flac")})
    check_samples(path, "data.zip", accepted.SOUNDS)
    with pytest.raises(
        InvalidData, match=r"^data.zip: expected an image \(.*\.tar.*found 2 another kind .*a.txt: text"
    ):
        check_samples(path, "data.zip", accepted.IMAGES)
    path.write_bytes(fixture("clip.mp4"))
    check_samples(path, "clip.mp4", accepted.VIDEOS)
    with pytest.raises(InvalidData, match=r"found 1 another kind of file .*MP4"):
        check_samples(path, "clip.mp4", accepted.SOUNDS)
    with pytest.raises(InvalidData, match="an empty archive"):
        check_samples(archive(tmp_path, {}), "empty.zip", accepted.SOUNDS)


def test_the_light_look_tells_how_much_there_is(tmp_path: Path) -> None:
    sounds = {name: fixture(name) for name in SOUNDS}
    cut = {"cut.flac": fixture("tone.flac")[:60], "photo.jpg": fixture("photo.jpg")}
    found = check_samples(archive(tmp_path, sounds | cut), "data.zip", accepted.SOUNDS)
    assert (found.items, found.whole) == (len(SOUNDS), True)
    assert all(abs(length.seconds - 1) < 0.1 for length in found.lengths) and len(found.lengths) == len(SOUNDS)
    images = check_samples(archive(tmp_path, sounds | cut), "data.zip", accepted.IMAGES)
    assert (images.items, images.lengths) == (1, ())
    with pytest.raises(InvalidData, match=r"found 1 broken \(cut.flac: the FLAC file"):
        check_samples(archive(tmp_path, {"cut.flac": cut["cut.flac"]}), "data.zip", accepted.SOUNDS)


def test_the_light_look_ends_where_nothing_is_usable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looked, "MAX_UNPACKED", 10_000)
    sizes = {f".{n:02}": bytes(1000) for n in range(20)}  # hidden, and none is a member
    path = archive(tmp_path, sizes | {"x.txt": bytes(20_000), "y.jpg": fixture("photo.jpg")})
    with pytest.raises(InvalidData, match="found 20 hidden"):
        check_samples(path, "data.zip", accepted.IMAGES)
    path = archive(tmp_path, {"a.jpg": fixture("photo.jpg"), "x.txt": bytes(20_000)})
    found = check_samples(path, "data.zip", accepted.IMAGES)
    assert (found.items, found.share) == (1, 0.5)


@pytest.mark.parametrize("packing", ["zip", "tar", "tar.gz"])
def test_of_a_large_archive_the_beginning_is_looked_at(
    tmp_path: Path, packing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    files = {f"{i:04}.jpg": fixture("photo.jpg")[:100] + rng.bytes(3000) for i in range(200)}
    path = archive(tmp_path, files)
    if packing != "zip":
        with tarfile.open(path, "w:gz" if packing == "tar.gz" else "w") as out:
            for name, data in files.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(data)
                out.addfile(entry, io.BytesIO(data))
    monkeypatch.setattr(looked, "CHECKED_FILES", 100)
    found = check_samples(path, f"data.{packing}", accepted.IMAGES)
    assert found.items == 100 and not found.whole
    assert found.share == pytest.approx(0.5, abs=0.0 if packing == "zip" else 0.1)
    monkeypatch.setattr(looked, "CHECKED_BYTES", 10 * 3100)
    assert check_samples(path, f"data.{packing}", accepted.IMAGES).items == 10
