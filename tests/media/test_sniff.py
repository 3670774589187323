import pytest

from app.errors import InvalidData, TooLarge
from app.media.limits import Limits
from app.media.sniff import expect, modality_of, sniff
from app.types import ModalityName
from tests.fakes.media import IMAGES, SOUNDS, VIDEOS, fixture

EXPECTED = dict.fromkeys(IMAGES, ModalityName.IMAGE)
EXPECTED |= dict.fromkeys(SOUNDS, ModalityName.AUDIO)
EXPECTED |= dict.fromkeys(VIDEOS, ModalityName.VIDEO)


@pytest.mark.parametrize(("name", "modality"), EXPECTED.items())
def test_a_file_is_known_by_its_first_bytes(name: str, modality: ModalityName) -> None:
    assert modality_of(fixture(name)) is modality


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0",
        b"B",
        b"BMW and others",
        b"RIFF",
        b"RIFF\0\0\0\0AVI LIST",
        b"hello",
        "Überall".encode("utf-16"),  # begins like MPEG audio
        b"\xff\xfb",
        b"OggS" + bytes(60),
        b"GIF8",
        b"\x89PNG",
    ],
)
def test_what_only_looks_similar_is_nothing(data: bytes) -> None:
    assert modality_of(data) is None


def test_animated_files_are_videos_and_still_ones_images() -> None:
    assert [sniff(fixture(f"animated.{s}")).name for s in ("gif", "webp", "png")] == [
        "animated GIF",
        "animated WebP",
        "animated PNG",
    ]
    assert [sniff(fixture(n)).name for n in ("palette.gif", "photo.webp", "photo.png")] == ["GIF", "WebP", "PNG"]


@pytest.mark.parametrize(("name", "kind"), [("clip.mp4", "MP4"), ("tone.m4a", "M4A")])
@pytest.mark.parametrize("box", [b"free", b"skip", b"wide"])
def test_old_quicktime_files_have_no_type(name: str, kind: str, box: bytes) -> None:
    assert sniff(fixture(name).replace(b"ftyp", box, 1)).name == kind
    assert sniff(b"The " + box + b" world") is None


@pytest.mark.parametrize("name", [*IMAGES, *SOUNDS, *VIDEOS])
def test_no_beginning_of_a_file_breaks_it(name: str) -> None:
    data = fixture(name)
    for length in range(64):
        sniff(data[:length])


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"", "an empty file"),
        (b"a,b\n1,2\n", "text"),
        (b"%PDF-1.7", "PDF"),
        (b"PK\x03\x04", "a ZIP archive"),
        (b"\0\1\2\3", r"unknown bytes"),
        (b"\xfe\xed" * 600, r"unknown bytes \(fe ed fe ed fe ed fe ed …\)"),
    ],
)
def test_a_refusal_says_what_was_found_and_what_is_accepted(data: bytes, found: str) -> None:
    with pytest.raises(InvalidData, match=rf"^expected an image \(JPEG, PNG, WebP, .*\), found {found}$"):
        expect(data, ModalityName.IMAGE)


def test_another_modality_is_named() -> None:
    with pytest.raises(InvalidData, match=r"expected audio .* found animated GIF"):
        expect(fixture("animated.gif"), ModalityName.AUDIO)


def test_a_file_may_have_so_many_bytes() -> None:
    data = fixture("photo.jpg")
    assert expect(data, ModalityName.IMAGE, Limits(max_bytes=len(data))).name == "JPEG"
    with pytest.raises(TooLarge, match=f"{len(data)} bytes"):
        expect(data, ModalityName.IMAGE, Limits(max_bytes=len(data) - 1))
