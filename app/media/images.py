"""Still images: bytes ↔ uint8 arrays."""

import io
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from app.errors import InvalidData, TooLarge
from app.media.limits import DEFAULT_LIMITS, Limits
from app.media.orientation import EXIF, Orientation
from app.media.png import grey_step, strip_chunks
from app.media.sniff import PNG, TIFF, Kind, clean_reason, decoder_errors, expect
from app.media.tiff import SIXTEEN_BITS, GreyLevels, grey_levels, page_count
from app.types import ModalityName

Pixels = NDArray[np.uint8]

STRIP_PIXELS = 4_000_000  # converted at once, so that memory never holds three versions of the whole image

ORIENTATION = 0x0112  # the EXIF tag


def decode_image(data: bytes, *, channels: Literal[1, 3] = 3, limits: Limits = DEFAULT_LIMITS) -> Pixels:
    """Decodes an image to uint8 [H, W, channels]: sRGB, or its luma.

    Applies the EXIF orientation, blends transparency with white, scales 16 bits to 8, and converts palettes and CMYK.
    Ignores colour profiles. Raises InvalidData and TooLarge.
    """
    kind = expect(data, ModalityName.IMAGE, limits)
    with decoder_errors(kind), open_image(data, kind.name) as image:
        if image.width * image.height > limits.max_image_pixels:
            raise TooLarge(
                f"the image has {image.width} × {image.height} pixels; the limit is {limits.max_image_pixels}"
            )
        levels = grey_levels(image)
        _seek_picture(image, kind)
        image.load()
        pixels = _convert(image, channels, levels)
        orientation = _read_orientation(image)
    return np.ascontiguousarray(orientation.upright(pixels))


def encode_png(pixels: Pixels) -> bytes:
    """Encodes uint8 [H, W], [H, W, 1] or [H, W, 3] as PNG."""
    return _encode(_to_image(pixels), "PNG")


def encode_webp(pixels: Pixels, *, quality: int = 90) -> bytes:
    """Encodes uint8 [H, W], [H, W, 1] or [H, W, 3] as WebP. `quality` is 0 to 100."""
    return _encode(_to_image(pixels), "WEBP", quality=quality)


def encode_animated_webp(frames: Pixels, *, fps: float, quality: int = 80) -> bytes:
    """Encodes uint8 [T, H, W, 1 or 3] as an animated WebP that loops."""
    first, *others = [_to_image(frame) for frame in frames]
    ends = np.round(np.arange(len(frames) + 1) * 1000 / fps).astype(int)  # milliseconds, without drift
    durations = np.diff(ends).tolist()
    return _encode(first, "WEBP", save_all=True, append_images=others, duration=durations, loop=0, quality=quality)


def flatten(image: Image.Image, levels: GreyLevels = SIXTEEN_BITS) -> Image.Image:
    """Converts an image to mode L or RGB with 8 bits and no alpha. `levels` describes greys of more than 8 bits."""
    if image.mode.startswith("I;16"):
        return _scale_to_8_bits(image, levels)
    if image.mode in ("I", "F"):
        raise InvalidData("the image has samples of 32 bits; supported are 1 to 16 bits")
    if image.mode == "La":  # premultiplied; Pillow converts it to LA only
        image = image.convert("LA")
    if image.has_transparency_data:
        seen = image.convert("RGBA")
        white = Image.new("RGBA", seen.size, "white")
        return Image.alpha_composite(white, seen).convert("RGB")
    return image.convert("L" if image.mode in ("1", "L") else "RGB")


def open_image(data: bytes, form: str) -> Image.Image:
    """Opens a file as the Pillow format `form` and reads its header. Raises InvalidData and TooLarge."""
    if form == PNG.name:
        data = strip_chunks(data)
    try:
        image = Image.open(io.BytesIO(data), formats=[form.upper()])
    except Image.DecompressionBombError as e:
        raise TooLarge(f"the image is too large: {e}") from e
    except UnidentifiedImageError as e:  # does not state the reason
        reason = _find_reason(data, form)
        if reason == "unknown pixel mode":
            raise InvalidData(f"the {form} file has a pixel format that is not supported") from e
        raise InvalidData(f"the {form} file is broken or cut off ({reason})") from e
    if form == PNG.name and isinstance(transparent := image.info.get("transparency"), int):
        image.info["transparency"] = transparent * grey_step(data)
    return image


def first_frame(image: Image.Image) -> int:
    """Returns the index of the first frame of an animation. A PNG may have a still image before it."""
    return int(bool(getattr(image, "default_image", False)))


def _find_reason(data: bytes, form: str) -> str:
    """Returns the reason why Pillow cannot open a file."""
    try:
        Image.OPEN[form.upper()][0](io.BytesIO(data), "")
    except Exception as e:
        return clean_reason(e)
    return "its header cannot be read"


def _seek_picture(image: Image.Image, kind: Kind) -> None:
    """Moves to the picture that viewers show. Raises InvalidData for several pages or frames."""
    # A phone's JPEG may contain further images (MPO); the first one is the photo.
    if not getattr(image, "is_animated", False) or image.format == "MPO":
        return
    if kind == TIFF:
        if (pages := page_count(image)) > 1:
            raise InvalidData(f"expected a still image, found a TIFF file of {pages} pages")
        return
    first = first_frame(image)
    if (frames := getattr(image, "n_frames", 1) - first) > 1:
        raise InvalidData(f"expected a still image, found a {kind.name} file of {frames} frames")
    image.seek(first)


def _convert(image: Image.Image, channels: Literal[1, 3], levels: GreyLevels) -> Pixels:
    """Converts an image to uint8 [H, W, channels], strip by strip."""
    out = np.empty((image.height, image.width, channels), np.uint8)
    rows = max(1, STRIP_PIXELS // image.width)
    for top in range(0, image.height, rows):
        strip = flatten(image.crop((0, top, image.width, min(top + rows, image.height))), levels)
        out[top : top + rows] = np.atleast_3d(np.asarray(strip.convert("L" if channels == 1 else "RGB")))
    return out


def _scale_to_8_bits(image: Image.Image, levels: GreyLevels) -> Image.Image:
    """Converts a grey image of 9 to 16 bits to mode L."""
    wide = np.asarray(image).astype(np.uint32)
    narrow = ((wide * 255 + levels.largest // 2) // levels.largest).clip(max=255).astype(np.uint8)
    if levels.white_is_zero:
        narrow = 255 - narrow
    if isinstance(transparent := image.info.get("transparency"), int):
        narrow[wide == transparent] = 255
    return Image.fromarray(narrow)


def _read_orientation(image: Image.Image) -> Orientation:
    try:
        return EXIF[int(image.getexif().get(ORIENTATION, 1))]
    except Exception:  # broken EXIF may raise any exception, and the picture itself is good
        return Orientation()


def _to_image(pixels: Pixels) -> Image.Image:
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3):
        raise ValueError(f"expected uint8 [H, W] or [H, W, 1 or 3], got {pixels.dtype} {pixels.shape}")
    return Image.fromarray(np.ascontiguousarray(pixels[..., 0] if pixels.shape[2:] == (1,) else pixels))


def _encode(image: Image.Image, form: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()
