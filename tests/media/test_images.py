import io
import re
import zlib

import numpy as np
import pytest
from PIL import Image

from app.errors import InvalidData, TooLarge
from app.media.images import decode_image, encode_animated_webp, encode_png, encode_webp
from app.media.limits import Limits
from tests.fakes.media import IMAGES, fixture, refusal

RED, GREEN, BLUE, WHITE = [230, 20, 20], [20, 200, 20], [20, 20, 230], [255, 255, 255]

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow on broken tags


def corners(pixels: np.ndarray) -> np.ndarray:
    """Top left, top right, bottom right, bottom left."""
    return np.stack([pixels[4, 4], pixels[4, -5], pixels[-5, -5], pixels[-5, 4]]).astype(int)


def saved(image: Image.Image, form: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.parametrize("channels", [1, 3])
def test_every_kind_becomes_pixels(name: str, channels: int) -> None:
    pixels = decode_image(fixture(name), channels=channels)
    assert pixels.shape == (48, 64, channels) and pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous and pixels.flags.writeable  # as torch.from_numpy wants it


@pytest.mark.parametrize("name", [n for n in IMAGES if not n.startswith("grey")])
def test_colours_and_directions_are_those_that_a_person_sees(name: str) -> None:
    tolerance = 0 if name in ("photo.png", "photo.bmp", "photo.tif", "alpha.png") else 30
    assert np.abs(corners(decode_image(fixture(name))) - [RED, GREEN, BLUE, WHITE]).max() <= tolerance


@pytest.mark.parametrize("name", IMAGES)
def test_converting_by_strips_changes_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = decode_image(fixture(name))
    monkeypatch.setattr("app.media.images.STRIP_PIXELS", 64 * 5)
    np.testing.assert_array_equal(decode_image(fixture(name)), whole)


def test_transparency_lies_on_white() -> None:
    pixels = decode_image(fixture("alpha.png"))
    assert (pixels[20:28] == 255).all()


@pytest.mark.parametrize("mode", ["LA", "PA", "P", "1"])
def test_rare_modes(mode: str) -> None:
    grey = Image.new("LA", (8, 4), (100, 0)) if mode in ("LA", "PA") else Image.new("L", (8, 4), 255)
    data = saved(grey.convert("RGBA").convert("P") if mode == "PA" else grey.convert(mode), "PNG")
    assert (decode_image(data) == 255).all()


def test_sixteen_bits_become_the_nearest_of_eight() -> None:
    np.testing.assert_array_equal(decode_image(fixture("grey16.png")), decode_image(fixture("grey.png")))


@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_sixteen_bit_tiff(byteorder: str) -> None:
    wide = np.array([[0, 257, 65535]], dtype=byteorder + "u2")
    image = Image.frombytes("I;16B" if byteorder == ">" else "I;16", (3, 1), wide.tobytes())
    assert decode_image(saved(image, "TIFF"), channels=1).ravel().tolist() == [0, 1, 255]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_of_exif_is_undone(orientation: int) -> None:
    upright = Image.fromarray(decode_image(fixture("photo.png")))
    turns = [None, *(Image.Transpose[t] for t in ("FLIP_LEFT_RIGHT", "ROTATE_180", "FLIP_TOP_BOTTOM", "TRANSPOSE",
             "ROTATE_90", "TRANSVERSE", "ROTATE_270"))]  # fmt: skip
    turn = turns[orientation - 1]
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(upright if turn is None else upright.transpose(turn), "PNG", exif=exif)
    np.testing.assert_array_equal(decode_image(data), np.asarray(upright))


def test_broken_exif_does_not_hide_the_picture() -> None:
    data = saved(Image.new("RGB", (8, 8)), "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")
    assert decode_image(data).shape == (8, 8, 3)


def test_the_further_pictures_of_a_phone_are_left_out() -> None:
    first, second = Image.new("RGB", (8, 8), "white"), Image.new("RGB", (4, 4))
    data = saved(first, "MPO", save_all=True, append_images=[second])
    assert decode_image(data).mean() == 255


@pytest.mark.parametrize("name", ["animated.gif", "animated.webp", "animated.png"])
def test_an_animation_is_no_still_image(name: str) -> None:
    with pytest.raises(InvalidData, match=r"expected an image .* found animated"):
        decode_image(fixture(name))


def test_neither_are_several_pages() -> None:
    page = Image.new("L", (8, 8))
    with pytest.raises(InvalidData, match="expected a still image, found a TIFF file of 2 pages"):
        decode_image(saved(page, "TIFF", save_all=True, append_images=[page]))


@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.parametrize("part", [0.1, 0.5, 0.9])
def test_a_file_cut_off_is_refused_or_shown(name: str, part: float) -> None:
    data = fixture(name)
    assert re.search("^$|broken or cut off", refusal(decode_image, data[: int(len(data) * part)]))


@pytest.mark.parametrize("name", ["photo.jpg", "photo.png", "photo.webp", "palette.gif", "photo.tif"])
def test_broken_bytes_raise_nothing_else(name: str) -> None:
    generator = np.random.default_rng(0)
    for _ in range(60):
        data = np.frombuffer(fixture(name), np.uint8).copy()
        data[generator.integers(8, len(data), 8)] = generator.integers(0, 256, 8)
        refusal(decode_image, data.tobytes())


def test_too_many_pixels_are_refused_before_they_are_decoded() -> None:
    data = fixture("photo.jpg")
    assert decode_image(data, limits=Limits(max_image_pixels=48 * 64)).shape == (48, 64, 3)
    with pytest.raises(TooLarge, match="64 × 48 pixels"):
        decode_image(data, limits=Limits(max_image_pixels=48 * 64 - 1))


@pytest.mark.parametrize("side", [30_000, 2_000_000_000])
def test_a_bomb_does_not_explode(side: int) -> None:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return len(content).to_bytes(4) + kind + content + zlib.crc32(kind + content).to_bytes(4)

    header = chunk(b"IHDR", side.to_bytes(4) * 2 + bytes([8, 2, 0, 0, 0]))
    pixels = chunk(b"IDAT", zlib.compress(bytes(100_000)))
    with pytest.raises(TooLarge, match="pixels"):
        decode_image(b"\x89PNG\r\n\x1a\n" + header + pixels + chunk(b"IEND", b""))


def test_wide_samples_are_refused() -> None:
    with pytest.raises(InvalidData, match="floating-point samples of 32 bits"):
        decode_image(saved(Image.new("F", (4, 4)), "TIFF"))


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 1), (5, 7, 3)])
def test_png_gives_back_what_it_got(shape: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    back = decode_image(encode_png(pixels), channels=3 if shape[2:] == (3,) else 1)
    np.testing.assert_array_equal(back.reshape(shape), pixels)


def test_webp_is_close() -> None:
    pixels = decode_image(fixture("photo.png"))
    assert np.abs(corners(decode_image(encode_webp(pixels))) - corners(pixels)).max() < 40


def test_an_animated_webp_keeps_frames_and_times() -> None:
    frames = np.stack([np.full((6, 8, 1), 25 * i, np.uint8) for i in range(10)])
    with Image.open(io.BytesIO(encode_animated_webp(frames, fps=16))) as image:
        durations = []
        for index in range(image.n_frames):
            image.seek(index)
            image.load()
            durations.append(image.info["duration"])
    assert len(durations) == 10 and sum(durations) == 625


def test_only_pixels_are_encoded() -> None:
    with pytest.raises(ValueError, match="expected uint8"):
        encode_png(np.zeros((4, 4, 3)))
