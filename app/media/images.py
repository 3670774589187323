"""Still images: bytes ↔ uint8 arrays."""

import io
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app.errors import InvalidData, TooLarge
from app.media.limits import DEFAULT_LIMITS, Limits
from app.media.orientation import EXIF, Orientation
from app.media.sniff import expect, reading
from app.types import Modality

Pixels = NDArray[np.uint8]

STRIP_PIXELS = 4_000_000  # converted at once, so that the whole image is never there in three versions

ORIENTATION = 0x0112  # the EXIF tag


def decode_image(data: bytes, *, channels: Literal[1, 3] = 3, limits: Limits = DEFAULT_LIMITS) -> Pixels:
    """uint8 [H, W, channels], sRGB or its luma, as a person would see it.

    Turned as EXIF says, transparency on white, 16 bits brought to 8, palettes and CMYK resolved. Colour
    profiles are ignored. Raises InvalidData, with what was found and what is accepted, and TooLarge.
    """
    kind = expect(data, Modality.IMAGE, limits)
    with reading(kind), open_image(data, kind.name) as image:
        if image.width * image.height > limits.max_image_pixels:
            raise TooLarge(f"{image.width} × {image.height} pixels, where {limits.max_image_pixels} are allowed")
        # A phone's JPEG may carry more pictures (MPO), of which the first one is the photo.
        if getattr(image, "is_animated", False) and image.format != "MPO":
            raise InvalidData(f"expected a still image, found a {kind.name} file of several frames or pages")
        image.load()
        pixels = _pixels(image, channels)
        orientation = _orientation(image)
    return np.ascontiguousarray(orientation.upright(pixels))


def encode_png(pixels: Pixels) -> bytes:
    """PNG of uint8 [H, W], [H, W, 1] or [H, W, 3]."""
    return _save(_image(pixels), "PNG")


def encode_webp(pixels: Pixels, *, quality: int = 90) -> bytes:
    """WebP of uint8 [H, W], [H, W, 1] or [H, W, 3]; quality 0 to 100."""
    return _save(_image(pixels), "WEBP", quality=quality)


def encode_animated_webp(frames: Pixels, *, fps: float, quality: int = 80) -> bytes:
    """WebP that plays uint8 [T, H, W, 1 or 3] in a loop."""
    first, *others = [_image(frame) for frame in frames]
    ends = np.round(np.arange(len(frames) + 1) * 1000 / fps).astype(int)  # milliseconds, without drift
    durations = np.diff(ends).tolist()
    return _save(first, "WEBP", save_all=True, append_images=others, duration=durations, loop=0, quality=quality)


def flatten(image: Image.Image) -> Image.Image:
    """The image in mode L or RGB: without alpha, palette, inks or more than 8 bits."""
    if image.mode.startswith("I;16"):
        wide = np.asarray(image).astype(np.uint32)
        return Image.fromarray(((wide * 255 + 32767) // 65535).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise InvalidData("the image has 32 bits a sample; 8 and 16 are accepted")
    if image.has_transparency_data:
        seen = image.convert("RGBA")
        white = Image.new("RGBA", seen.size, "white")
        return Image.alpha_composite(white, seen).convert("RGB")
    return image.convert("L" if image.mode in ("1", "L") else "RGB")


def open_image(data: bytes, form: str) -> Image.Image:
    """The file with its header read, and as this format of Pillow's only."""
    try:
        return Image.open(io.BytesIO(data), formats=[form.upper()])
    except Image.DecompressionBombError as e:
        raise TooLarge(f"the image is far too large: {e}") from e


def _pixels(image: Image.Image, channels: Literal[1, 3]) -> Pixels:
    out = np.empty((image.height, image.width, channels), np.uint8)
    rows = max(1, STRIP_PIXELS // image.width)
    for top in range(0, image.height, rows):
        strip = flatten(image.crop((0, top, image.width, min(top + rows, image.height))))
        out[top : top + rows] = np.atleast_3d(np.asarray(strip.convert("L" if channels == 1 else "RGB")))
    return out


def _orientation(image: Image.Image) -> Orientation:
    try:
        return EXIF[int(image.getexif().get(ORIENTATION, 1))]
    except Exception:  # broken EXIF raises anything, and the picture itself is good
        return Orientation()


def _image(pixels: Pixels) -> Image.Image:
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3):
        raise ValueError(f"expected uint8 [H, W] or [H, W, 1 or 3], got {pixels.dtype} {pixels.shape}")
    return Image.fromarray(np.ascontiguousarray(pixels[..., 0] if pixels.shape[2:] == (1,) else pixels))


def _save(image: Image.Image, form: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()
