"""Arrays of images and sounds are archives of their items."""

import io
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from app.datasets.documents import read_documents
from app.datasets.reports import Reason, Report
from app.datasets.samples import check_samples, read_samples
from app.errors import InvalidData, TooLarge
from app.media import accepted
from app.media.accepted import AcceptedFiles
from app.media.arrays import MAGIC, MAX_HEADER, ArrayFile, ArrayItem, open_array, read_rate
from app.media.audio import decode_audio
from app.media.images import decode_image
from app.media.limits import Limits

RNG = np.random.default_rng(0)
PICTURES = RNG.integers(0, 256, (5, 8, 6, 3), dtype=np.uint8)
SOUNDS = RNG.uniform(-1, 1, (3, 4000)).astype(np.float32)


def saved(array: NDArray[Any]) -> bytes:
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def packed(**arrays: NDArray[Any]) -> bytes:
    out = io.BytesIO()
    np.savez_compressed(out, **arrays)
    return out.getvalue()


Read = Callable[..., tuple[list[bytes], Report]]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def run(content: bytes, files: AcceptedFiles = accepted.IMAGES, **options: Any) -> tuple[list[bytes], Report]:
        path, report = tmp_path / "content", Report()
        path.write_bytes(content)
        return [sample.data for sample in read_samples(path, "a.npz", files, report=report, **options)], report

    return run


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (PICTURES, PICTURES),
        (PICTURES[0], PICTURES[:1]),  # one picture
        (PICTURES[..., 0], PICTURES[..., :1].repeat(3, 3)),  # [N, H, W] in grey
        (PICTURES[0, ..., 0], PICTURES[:1, ..., :1].repeat(3, 3)),
        (PICTURES[..., :1], PICTURES[..., :1].repeat(3, 3)),
    ],
)
def test_pictures_keep_every_pixel(read: Read, array: NDArray[Any], expected: NDArray[Any]) -> None:
    for content in (saved(array), packed(x=array)):
        found, report = read(content)
        assert np.array_equal([decode_image(data) for data in found], expected)
        assert report.usable == len(expected) and not report.skipped


def test_an_npz_has_several_lists_and_labels_are_left_out(read: Read) -> None:
    found, report = read(packed(x_test=PICTURES[:2], x_train=PICTURES, y_train=np.arange(5)))
    assert len(found) == 7
    assert report.skipped[Reason.OTHER_KIND].examples == [
        "y_train.npy: expected images (uint8 [N, H, W], [H, W, C] or [N, H, W, C] with 1, 3 or 4 channels) or sounds"
        " (float or int16 [T] or [N, T], in an .npz with their `rate`), found int64 [5]"
    ]


def test_an_archive_of_arrays_is_read(read: Read) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for number, picture in enumerate(PICTURES):
            entry = tarfile.TarInfo(f"{number}.npy")
            entry.size = len(saved(picture))
            archive.addfile(entry, io.BytesIO(saved(picture)))
    assert np.array_equal([decode_image(data) for data in read(out.getvalue())[0]], PICTURES)


def test_an_item_of_its_own_stays_beside_its_label(tmp_path: Path) -> None:
    path, report = tmp_path / "content", Report()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/1.npy", saved(PICTURES[0]))
        archive.writestr("a/1.cls", "7")
    (found,) = read_samples(path, "a.zip", accepted.IMAGES, report=report)
    assert (found.key, found.name, found.beside) == ("a/1", "a/1.png", {"cls": b"7"})


@pytest.mark.parametrize("rate", [np.array(16000), np.array([16000.0])])
def test_sounds_have_the_rate_of_their_npz(read: Read, rate: NDArray[Any]) -> None:
    for array in (SOUNDS, SOUNDS.astype(">f8"), (SOUNDS * 32767).astype(np.int16), SOUNDS[0]):
        found, report = read(packed(sounds=array, rate=rate), accepted.SOUNDS)
        assert set(report.skipped) == {Reason.BESIDE}
        decoded = [decode_audio(data, sample_rate=16000) for data in found]
        assert np.allclose(decoded, SOUNDS if array.ndim == 2 else SOUNDS[:1], atol=1e-4)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (saved(SOUNDS), "in an .npz with their `rate`"),
        (packed(a=np.array([{}], dtype=object)), "Python objects"),
        (packed(a=np.asfortranarray(PICTURES)), "Fortran"),
        (saved(PICTURES)[:40], "header of the array is damaged"),
        (packed(a=np.full((1, 9), np.nan), rate=np.array(8000)), "not finite"),
        (packed(a=SOUNDS, rate=np.array(0)), "samples a second"),
        (packed(a=PICTURES.astype(np.float64)), "found float64"),
    ],
)
def test_what_cannot_be_read_says_why(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "content").write_bytes(content)
    with pytest.raises(InvalidData, match=message):
        check_samples(tmp_path / "content", "a.npz", accepted.SOUNDS)


def test_a_list_that_is_cut_off_keeps_what_it_has(read: Read) -> None:
    found, report = read(saved(PICTURES)[:-10])
    assert len(found) == 4
    assert "4 of 5 items" in report.skipped[Reason.BROKEN].examples[0]


def test_items_and_archives_are_bounded(read: Read) -> None:
    _, report = read(saved(PICTURES), limits=Limits(max_bytes=100))
    assert set(report.skipped) == {Reason.TOO_LARGE}
    with pytest.raises(TooLarge, match="unpacks to far more"):
        read(packed(x=np.zeros((40, 1024, 1024), np.uint8)), limits=Limits(max_archive_ratio=10))


def test_a_look_tells_the_share_that_it_has_read(tmp_path: Path) -> None:
    path = tmp_path / "content"
    path.write_bytes(saved(np.zeros((4000, 2, 2), np.uint8)))
    found = check_samples(path, "a.npy", accepted.IMAGES)
    assert (found.items, found.share) == (1000, 0.25)


@pytest.mark.parametrize("name", ["a.npy", "a.npz"])
def test_arrays_are_no_text(tmp_path: Path, name: str) -> None:
    path = tmp_path / "content"
    path.write_bytes(saved(PICTURES))
    with pytest.raises(InvalidData, match="arrays of numbers are no text"):
        list(read_documents(path, name))


class Unread(io.BytesIO):
    """Bytes that end the test when more of them are asked for than a header has."""

    def read(self, size: int | None = -1, /) -> bytes:
        assert size is not None and 0 <= size <= MAX_HEADER
        return super().read(size)


def with_header(text: str, version: int = 1, length: int | None = None) -> bytes:
    header = text.encode()
    size = len(header) if length is None else length
    return MAGIC + bytes([version, 0]) + size.to_bytes(2 if version == 1 else 4, "little") + header


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (with_header("{'descr': '|u1', 'fortran_order': False, 'shape': (-1, 4, 4)}"), "negative"),
        (with_header("{'descr': '|u1', 'fortran_order': False, 'shape': (-2, -2, 4)}"), "negative"),
        (with_header("{'descr': '|u1', 'fortran_order': False, 'shape': (1" + "0" * 99 + ", 4, 4)}"), "too large"),
        (with_header("{'descr': '|u1', 'fortran_order': False, 'shape': (True, 4, 4)}"), "damaged"),
        (with_header("{}", version=2, length=2**32 - 1), "4294967295 bytes; the limit is 10000"),
        (with_header("{}", length=60_000), "the limit is 10000"),
        (with_header("(" * 9000), "damaged"),
        (with_header("{}" + "[" * 90, version=2), "damaged"),
    ],
)
def test_a_damaged_header_is_refused_before_more_is_read(content: bytes, message: str) -> None:
    with pytest.raises(InvalidData, match=message):
        open_array(Unread(content))


def test_a_rate_that_is_no_number_is_not_read() -> None:
    content = with_header("{'descr': '|S1000000000', 'fortran_order': False, 'shape': ()}")
    with pytest.raises(InvalidData, match="one whole number"):
        read_rate(Unread(content))


def test_the_budget_is_spent_before_an_item_is_read(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    packed_zeros = packed(x=np.zeros((40, 1024, 1024), np.uint8))
    reads: list[int] = []
    read_item = ArrayFile.read_item

    def note(self: ArrayFile, number: int, *limits: Limits) -> ArrayItem:
        reads.append(number)
        return read_item(self, number, *limits)

    monkeypatch.setattr(ArrayFile, "read_item", note)
    with pytest.raises(TooLarge, match="unpacks to far more"):
        read(packed_zeros, limits=Limits(max_archive_ratio=1))
    assert reads == list(range(16))  # the budget has 16 MiB and the archive's own size
