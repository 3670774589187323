"""Rotation and mirroring that turn a stored picture upright."""

import struct
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Orientation(NamedTuple):
    """Steps from the stored picture to the upright one, in this order."""

    transpose: bool = False  # rows become columns
    mirror_columns: bool = False
    mirror_rows: bool = False

    def upright(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Returns an upright view of pixels [H, W, ...]."""
        if self.transpose:
            pixels = pixels.swapaxes(0, 1)
        return pixels[:: -1 if self.mirror_rows else 1, :: -1 if self.mirror_columns else 1]


# The values of the EXIF orientation tag.
EXIF = {
    1: Orientation(),
    2: Orientation(mirror_columns=True),
    3: Orientation(mirror_columns=True, mirror_rows=True),
    4: Orientation(mirror_rows=True),
    5: Orientation(transpose=True),
    6: Orientation(transpose=True, mirror_columns=True),
    7: Orientation(transpose=True, mirror_columns=True, mirror_rows=True),
    8: Orientation(transpose=True, mirror_rows=True),
}


def from_display_matrix(matrix: Any) -> Orientation:
    """Returns the orientation nearest to a display matrix of FFmpeg.

    matrix: nine native int32; they map (x, y) to (ax + cy, bx + dy). Angles are rounded to multiples of 90 degrees, so
    that no corner of the frame is empty.
    """
    a, b, _, c, d = struct.unpack_from("=5i", matrix)
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return Orientation(False, mirror_columns=a < 0, mirror_rows=d < 0)
    return Orientation(True, mirror_columns=c < 0, mirror_rows=b < 0)
