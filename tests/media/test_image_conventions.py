"""How each format says what its numbers mean: the right values follow from the formats' specifications."""

import io
import re
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from app.errors import InvalidData
from app.media.images import decode_image
from app.media.png import strip_chunks
from app.media.sniff import sniff
from app.media.video import open_video
from tests.fakes.media import fixture, refusal

GREY = np.array([[0, 64, 128, 255]])
ALPHA = np.stack([GREY, np.full_like(GREY, 128)], axis=2)
COLOURS = np.array([[[10, 20, 30], [255, 0, 128], [0, 0, 0], [255, 255, 255]]])
Tags = dict[int, tuple[str, list[int]]]

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow on broken tags


def saved(image: Image.Image, form: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def tiff(pixels: np.ndarray, kind: str, photometric: int, order: str, extra: Tags | None = None) -> bytes:
    """An uncompressed TIFF of one strip; `kind` is numpy's, such as u2, `order` < or >."""
    height, width = pixels.shape[:2]
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    content = pixels.astype(order + kind).tobytes()
    bits, sample_format = 8 * int(kind[1]), {"u": 1, "i": 2, "f": 3}[kind[0]]
    tags: Tags = {
        256: ("H", [width]), 257: ("H", [height]), 258: ("H", [bits] * channels), 259: ("H", [1]),
        262: ("H", [photometric]), 273: ("I", [8]), 277: ("H", [channels]), 278: ("H", [height]),
        279: ("I", [len(content)]), 339: ("H", [sample_format] * channels),
    }  # fmt: skip
    tags |= extra or {}
    content += bytes(len(content) % 2)
    values, entries = b"", b""
    start = 8 + len(content)
    for tag, (letter, numbers) in sorted(tags.items()):
        packed = struct.pack(f"{order}{len(numbers)}{letter}", *numbers)
        if len(packed) > 4:
            where = struct.pack(order + "I", start + len(values))
            values += packed
        else:
            where = packed.ljust(4, b"\0")
        entries += struct.pack(order + "HHI", tag, {"H": 3, "I": 4}[letter], len(numbers)) + where
    directory = struct.pack(order + "H", len(tags)) + entries + bytes(4)
    magic = b"II*\0" if order == "<" else b"MM\0*"
    return magic + struct.pack(order + "I", start + len(values)) + content + values + directory


def grey(data: bytes) -> list[int]:
    return decode_image(data, channels=1).ravel().tolist()


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", ["u1", "u2"])
def test_grey_counts_from_black_or_white(kind: str, order: str) -> None:
    pixels = GREY * (257 if kind == "u2" else 1)
    assert grey(tiff(pixels, kind, 1, order)) == [0, 64, 128, 255]
    assert grey(tiff(pixels, kind, 0, order)) == [255, 191, 127, 0]


@pytest.mark.parametrize("photometric", [0, 1])
def test_twelve_bits_reach_white(photometric: int) -> None:
    packed = np.frombuffer(bytes.fromhex("000400800fff"), np.uint8).reshape(1, 6)  # 0, 0x400, 0x800, 0xfff
    data = tiff(packed, "u1", photometric, "<", {256: ("H", [4]), 258: ("H", [12])})
    assert grey(data) == ([255, 191, 127, 0] if photometric == 0 else [0, 64, 128, 255])


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("bits", "content", "levels"),
    [(1, "50", [0, 255, 0, 255]), (2, "1b", [0, 85, 170, 255]), (4, "05af", [0, 85, 170, 255])],
)
def test_few_bits_reach_white(bits: int, content: str, levels: list[int], order: str) -> None:
    packed = np.frombuffer(bytes.fromhex(content), np.uint8)[None]
    size: Tags = {256: ("H", [4]), 258: ("H", [bits])}
    assert grey(tiff(packed, "u1", 1, order, size)) == levels
    assert grey(tiff(packed, "u1", 0, order, size)) == [255 - level for level in levels]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("kind", "what"),
    [("i1", "signed samples of 8"), ("i2", "signed samples of 16"), ("f4", "floating-point samples of 32")],
)
def test_samples_of_no_known_scale_are_refused(kind: str, what: str, order: str) -> None:
    with pytest.raises(
        InvalidData, match=f"the TIFF file has {what} bits; supported are unsigned samples of 1 to 16 bits"
    ):
        decode_image(tiff(GREY // 3, kind, 1, order))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", ["u4", "f8"])
def test_wide_samples_are_refused_without_an_object_in_the_message(kind: str, order: str) -> None:
    message = refusal(decode_image, tiff(GREY, kind, 1, order))
    assert re.fullmatch(
        "the TIFF file has (samples of 32 bits; supported are .*|a pixel format that is not supported)", message
    )


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", ["u1", "u2"])
def test_transparency_of_a_tiff_lies_on_white(kind: str, order: str) -> None:
    scale = 257 if kind == "u2" else 1
    pixels = np.concatenate([COLOURS, np.full((1, 4, 1), 128)], axis=2)
    expected = COLOURS * 128 / 255 + 255 - 128
    straight = decode_image(tiff(pixels * scale, kind, 2, order, {338: ("H", [2])}))
    np.testing.assert_allclose(straight, expected, atol=1.5)
    pixels[..., :3] = COLOURS * 128 / 255
    premultiplied = decode_image(tiff(pixels * scale, kind, 2, order, {338: ("H", [1])}))
    np.testing.assert_allclose(premultiplied, expected, atol=2)
    unspecified = decode_image(tiff(pixels * scale, kind, 2, order, {338: ("H", [0])}))
    np.testing.assert_array_equal(unspecified, pixels[..., :3])


@pytest.mark.parametrize("order", ["<", ">"])
def test_grey_and_alpha_of_a_tiff(order: str) -> None:
    expected = GREY.ravel() * 128 / 255 + 255 - 128
    np.testing.assert_allclose(grey(tiff(ALPHA, "u1", 1, order, {338: ("H", [2])})), expected, atol=1.5)
    premultiplied = np.stack([GREY * 128 // 255, np.full_like(GREY, 128)], axis=2)
    np.testing.assert_allclose(grey(tiff(premultiplied, "u1", 1, order, {338: ("H", [1])})), expected, atol=2)


@pytest.mark.parametrize("order", ["<", ">"])
def test_colour_spaces_of_a_tiff(order: str) -> None:
    inks = np.array([[[0, 0, 0, 0], [255, 0, 0, 0], [0, 255, 255, 0], [0, 0, 0, 255]]])
    expected = [[255, 255, 255], [0, 255, 255], [255, 0, 0], [0, 0, 0]]
    assert decode_image(tiff(inks, "u1", 5, order))[0].tolist() == expected
    assert decode_image(tiff(inks * 257, "u2", 5, order))[0].tolist() == expected
    ycbcr = np.array([[[76, 85, 255], [150, 44, 21], [29, 255, 107], [255, 128, 128]]])
    found = decode_image(tiff(ycbcr, "u1", 6, order, {530: ("H", [1, 1])}))[0].astype(int)
    assert np.abs(found - [[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]).max() <= 2
    table = [0, 65535, 0, 65535, *[0] * 252, 0, 0, 65535, 65535, *[0] * 252, 0, 0, 0, 65535, *[0] * 252]
    found = decode_image(tiff(np.array([[0, 1, 2, 3]]), "u1", 3, order, {320: ("H", table)}))
    assert found[0].tolist() == [[0, 0, 0], [255, 0, 0], [0, 255, 0], [255, 255, 255]]


def test_adobes_inverted_inks_are_known() -> None:
    # Pillow writes CMYK as Adobe does, inverted and marked so.
    data = saved(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG", quality=100)
    assert b"Adobe" in data
    assert np.abs(decode_image(data)[8, 8].astype(int) - [255, 0, 0]).max() <= 4


def test_a_page_is_not_a_thumbnail() -> None:
    page, small = Image.new("L", (8, 8), 200), Image.new("L", (4, 4))
    several = saved(page, "TIFF", save_all=True, append_images=[small, small])
    with pytest.raises(InvalidData, match="found a TIFF file of 3 pages"):
        decode_image(several)
    out = io.BytesIO()
    page.save(out, "TIFF", save_all=True, append_images=[_thumbnail(small)])
    assert (decode_image(out.getvalue()) == 200).all()


def _thumbnail(image: Image.Image) -> Image.Image:
    image.encoderinfo = {"tiffinfo": {254: 1}}
    return image


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF", "TIFF deflate"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_format_is_turned_as_exif_says(form: str, orientation: int) -> None:
    upright = Image.fromarray(decode_image(fixture("photo.png")))
    undo = [None, "FLIP_LEFT_RIGHT", "ROTATE_180", "FLIP_TOP_BOTTOM", "TRANSPOSE", "ROTATE_90", "TRANSVERSE",
            "ROTATE_270"][orientation - 1]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    options: dict[str, Any] = {"JPEG": {"quality": 95}, "WEBP": {"lossless": True}}.get(form, {})
    if form == "TIFF deflate":
        options = {"compression": "tiff_adobe_deflate"}
    stored = upright.transpose(Image.Transpose[undo]) if undo else upright
    found = decode_image(saved(stored, form.split()[0], exif=exif, **options)).astype(int)
    assert found.shape == (48, 64, 3)
    corners = found[[4, 4, -5, -5], [4, -5, -5, 4]]
    assert np.abs(corners - [[230, 20, 20], [20, 200, 20], [20, 20, 230], [255, 255, 255]]).max() <= 30


def chunk(name: bytes, content: bytes) -> bytes:
    return len(content).to_bytes(4) + name + content + zlib.crc32(name + content).to_bytes(4)


def png(colour_type: int, bits: int, row: bytes, width: int, *chunks: bytes) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, 1, bits, colour_type, 0, 0, 0))
    return b"".join(
        [b"\x89PNG\r\n\x1a\n", header, *chunks, chunk(b"IDAT", zlib.compress(b"\0" + row)), chunk(b"IEND", b"")]
    )


@pytest.mark.parametrize(
    ("bits", "row", "transparent", "levels"),
    [
        (1, "50", 0, [0, 255, 0, 255]),
        (2, "1b", 1, [0, 85, 170, 255]),
        (4, "05af", 5, [0, 85, 170, 255]),
        (8, "05060708", 6, [5, 6, 7, 8]),
        (16, "0000404080c8ffff", 0x4040, [0, 64, 128, 255]),
    ],
)
def test_a_grey_png_of_any_depth_may_have_a_transparent_level(
    bits: int, row: str, transparent: int, levels: list[int]
) -> None:
    content = bytes.fromhex(row)
    assert grey(png(0, bits, content, 4)) == levels
    which = {1: [0, 2], 2: [1], 4: [1], 8: [1], 16: [1]}[bits]
    expected = [255 if index in which else level for index, level in enumerate(levels)]
    assert grey(png(0, bits, content, 4, chunk(b"tRNS", transparent.to_bytes(2)))) == expected


def test_a_palette_may_be_transparent() -> None:
    palette = chunk(b"PLTE", bytes([255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9]))
    pixels = decode_image(png(3, 2, b"\x1b", 4, palette, chunk(b"tRNS", b"\xff\x00\x80")))
    assert pixels[0].tolist() == [[255, 0, 0], [255, 255, 255], [127, 127, 255], [9, 9, 9]]


ANCILLARY = [b"tEXt", b"zTXt", b"iTXt", b"gAMA", b"pHYs", b"iCCP", b"eXIf", b"sRGB", b"cHRM", b"bKGD", b"prVt"]


@pytest.mark.parametrize("name", ANCILLARY)
@pytest.mark.parametrize("content", [b"", b"Comment\0text", b"\xff" * 40])
@pytest.mark.parametrize("right", [True, False])
def test_chunks_beside_the_picture_cannot_spoil_it(name: bytes, content: bytes, right: bool) -> None:
    data = fixture("photo.png")
    damaged = bytearray(chunk(name, content))
    if not right:
        damaged[-1] ^= 1
    for at in (33, len(data) - 12):  # behind the header and before the end
        found = decode_image(data[:at] + bytes(damaged) + data[at:])
        np.testing.assert_array_equal(found, decode_image(data))


def test_a_wrong_checksum_of_transparency_is_ignored() -> None:
    damaged = bytearray(chunk(b"tRNS", b"\0\6"))
    damaged[-1] ^= 1
    assert grey(png(0, 8, bytes([5, 6, 7, 8]), 4, bytes(damaged))) == [5, 255, 7, 8]


def test_the_header_is_checked() -> None:
    data = bytearray(fixture("photo.png"))
    data[30] ^= 1  # its checksum
    with pytest.raises(InvalidData, match=r"^the PNG file is broken or cut off \([^<>]*\)$"):
        decode_image(bytes(data))


def test_a_png_of_picture_chunks_only_is_left_alone() -> None:
    data = fixture("photo.png")
    assert strip_chunks(data) is data
    assert strip_chunks(data[:40]) == data[:40]


def one_frame(form: str) -> bytes:
    image = Image.fromarray(decode_image(fixture("photo.png")))
    if form == "PNG":
        data = fixture("animated.png")
        at = data.index(b"acTL")
        head = data[: at - 4] + chunk(b"acTL", (1).to_bytes(4) + bytes(4)) + data[at + 16 :]
        end = head.index(b"fcTL", head.index(b"IDAT")) - 4  # the second frame's
        return head[:end] + chunk(b"IEND", b"")
    still = saved(image, "WEBP", lossless=True)
    frame = bytes(6) + (63).to_bytes(3, "little") + (47).to_bytes(3, "little") + bytes(4) + still[12:]
    body = b"WEBPVP8X" + struct.pack("<I", 10) + b"\x02\0\0\0" + (63).to_bytes(3, "little") + (47).to_bytes(3, "little")
    body += b"ANIM" + struct.pack("<I", 6) + bytes(6) + b"ANMF" + struct.pack("<I", len(frame)) + frame
    return b"RIFF" + struct.pack("<I", len(body)) + body


@pytest.mark.parametrize("form", ["PNG", "WebP"])
def test_an_animation_of_one_frame_is_a_still_image(form: str) -> None:
    data = one_frame(form)
    assert sniff(data).name == form
    assert np.abs(decode_image(data)[4, 4].astype(int) - [230, 20, 20]).max() <= 1


def with_a_picture_before(frames: int) -> bytes:
    """An animated PNG of a red picture that is no frame, and of a green and a blue frame."""
    picture, *others = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")]
    options = {"save_all": True, "append_images": others[:frames], "default_image": True, "duration": 50}
    return saved(picture, "PNG", **options)


def test_the_picture_for_viewers_of_still_images_is_no_frame() -> None:
    # Browsers show the animation, also where it has a single frame.
    assert decode_image(with_a_picture_before(1))[4, 4].tolist() == [0, 255, 0]
    with open_video(with_a_picture_before(2)) as video:
        np.testing.assert_allclose(video.times, [0, 0.05])
        assert video.read([0, 1])[:, 4, 4].tolist() == [[0, 255, 0], [0, 0, 255]]
        assert video.read([0])[0, 4, 4].tolist() == [0, 255, 0]


@pytest.mark.parametrize("name", ["photo.jpg", "photo.png", "photo.webp", "photo.bmp", "photo.tif", "palette.gif"])
def test_no_message_names_an_object_of_python(name: str) -> None:
    generator = np.random.default_rng(1)
    for _ in range(60):
        data = np.frombuffer(fixture(name), np.uint8).copy()
        data[generator.integers(4, min(len(data), 60), 4)] = generator.integers(0, 256, 4)
        message = refusal(decode_image, data.tobytes())
        assert not re.search(r"object at|0x|<|NoneType|tuple|\bb'", message), message
