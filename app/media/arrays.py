"""NumPy's .npy files as lists of images and sounds. Objects in them are never unpickled.

The format is described at https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html.
"""

import io
import math
import struct
from dataclasses import dataclass
from typing import IO, Any, Literal

import numpy as np
import soundfile
from numpy.lib import format as npy
from numpy.typing import NDArray
from PIL import Image

from app.errors import InvalidData, TooLarge
from app.media.limits import DEFAULT_LIMITS, Limits

MAGIC = b"\x93NUMPY"
CHANNELS = (1, 3, 4)  # of images
EXPECTED = (
    "expected images (uint8 [N, H, W], [H, W, C] or [N, H, W, C] with 1, 3 or 4 channels) or sounds (float or int16"
    " [T] or [N, T], in an .npz with their `rate`)"
)
MAX_HEADER = 10_000  # bytes; those of an array of numbers have about 100
_HEADERS = {(1, 0): ("<H", npy.read_array_header_1_0), (2, 0): ("<I", npy.read_array_header_2_0)}


@dataclass(frozen=True)
class ArrayItem:
    """One image as PNG or one sound as WAV. share: of the array that has been read with it."""

    data: bytes
    suffix: Literal[".png", ".wav"]
    share: float


@dataclass(frozen=True)
class ArrayFile:
    """The array of an open .npy, behind its header. rate: samples a second of sounds, if it is known."""

    stream: IO[bytes]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    rate: int | None

    @property
    def kind(self) -> Literal["image", "sound"] | None:
        """The kind of the items; None if they are neither images nor sounds."""
        if self.dtype == np.uint8 and self._image_dimensions is not None:
            return "image"
        is_sound = self.dtype.kind == "f" or self.dtype == np.int16
        return "sound" if is_sound and len(self.shape) in (1, 2) and self.rate else None

    @property
    def _image_dimensions(self) -> int | None:
        has_channels = len(self.shape) >= 3 and self.shape[-1] in CHANNELS
        dimensions = 3 if has_channels else 2
        return dimensions if dimensions <= len(self.shape) <= dimensions + 1 else None

    @property
    def is_list(self) -> bool:
        """Whether the first dimension counts items."""
        dimensions = (self._image_dimensions or 2) if self.kind == "image" else 1
        return len(self.shape) > dimensions

    def describe(self) -> str:
        return f"{self.dtype.name} [{', '.join(map(str, self.shape))}]"

    @property
    def _item_shape(self) -> tuple[int, ...]:
        return self.shape[1:] if self.is_list else self.shape

    @property
    def item_bytes(self) -> int:
        """The bytes of each item."""
        return math.prod(self._item_shape) * self.dtype.itemsize

    @property
    def count(self) -> int:
        """The number of items that are not empty."""
        return (self.shape[0] if self.is_list else 1) if self.item_bytes else 0

    def read_item(self, number: int, limits: Limits = DEFAULT_LIMITS) -> ArrayItem:
        """Reads the item behind the one that was read last.

        number: its index, for messages and the share.

        Raises InvalidData if the file is cut off, and TooLarge for an item beyond `limits.max_bytes`.
        """
        size = self.item_bytes
        if size > limits.max_bytes:
            raise TooLarge(f"an item of the array has {size} bytes; the limit is {limits.max_bytes}")
        content = self.stream.read(size)
        if len(content) < size:
            raise InvalidData(f"the array is cut off: it has {number} of {self.count} items")
        values = np.frombuffer(content, self.dtype).reshape(self._item_shape)
        data = _to_png(values) if self.kind == "image" else _to_wav(values, self.rate or 0)
        return ArrayItem(data, ".png" if self.kind == "image" else ".wav", (number + 1) / self.count)


def open_array(stream: IO[bytes], rate: int | None = None) -> ArrayFile:
    """Reads the header of a .npy. Raises InvalidData for a damaged one, for objects and for Fortran's order."""
    shape, fortran, dtype = _read_header(stream)
    if not all(type(size) is int and 0 <= size < 1 << 63 for size in shape):  # numpy takes True for 1
        raise InvalidData("the header of the array is damaged: a dimension is negative or too large")
    if dtype.hasobject or dtype.names:
        raise InvalidData("the array holds Python objects or records, not numbers")
    if fortran and len(shape) > 1:
        raise InvalidData("the array is stored in Fortran's order; save it with numpy.ascontiguousarray")
    return ArrayFile(stream, shape, dtype, rate)


def _read_header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Returns (shape, whether the order is Fortran's, dtype). Its length is checked before it is read."""
    try:
        version = npy.read_magic(stream)
    except ValueError as e:
        raise InvalidData("the header of the array is damaged") from e
    if version not in _HEADERS:
        raise InvalidData(f"version {version[0]}.{version[1]} of the format is not supported")
    layout, parse = _HEADERS[version]
    length = stream.read(struct.calcsize(layout))
    if len(length) < struct.calcsize(layout):
        raise InvalidData("the header of the array is damaged")
    (size,) = struct.unpack(layout, length)
    if size > MAX_HEADER:
        raise InvalidData(f"the header of the array has {size} bytes; the limit is {MAX_HEADER}")
    header = stream.read(size)
    try:
        shape, fortran, dtype = parse(io.BytesIO(length + header))
    except Exception as e:  # NumPy evaluates the header as Python, which raises many exceptions for damaged ones
        raise InvalidData("the header of the array is damaged") from e
    return shape, fortran, dtype


def read_rate(stream: IO[bytes]) -> int:
    """Reads an array of one number, the rate of sounds. Raises InvalidData."""
    array = open_array(stream)
    is_number = array.dtype.kind in "iuf" and math.prod(array.shape) == 1
    content = stream.read(array.dtype.itemsize) if is_number else b""
    rate = float(np.frombuffer(content, array.dtype)[0]) if len(content) == array.dtype.itemsize else math.nan
    if not (1 <= rate <= 1_000_000 and rate == int(rate)):
        raise InvalidData(f"expected one whole number, the samples a second, found {array.describe()}")
    return int(rate)


def _to_png(pixels: NDArray[Any]) -> bytes:
    out = io.BytesIO()
    picture = pixels[:, :, 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels
    Image.fromarray(picture).save(out, "PNG", compress_level=1)
    return out.getvalue()


def _to_wav(samples: NDArray[Any], rate: int) -> bytes:
    """Keeps 16 bits, or 32-bit floats. Raises InvalidData for values that are not finite."""
    if samples.dtype.kind == "f":
        samples = samples.astype(np.float32)
        if not np.isfinite(samples).all():
            raise InvalidData("a sound of the array has values that are not finite")
    out = io.BytesIO()
    subtype = "FLOAT" if samples.dtype.kind == "f" else "PCM_16"
    soundfile.write(out, samples.astype(samples.dtype.newbyteorder("=")), rate, format="WAV", subtype=subtype)
    return out.getvalue()
