"""The codec: a text file whose first line is `sensor series,RATE` and whose others are eight values in [-1, 1]."""

import numpy as np
from numpy.typing import NDArray

from app.errors import InvalidData
from app.media.accepted import AcceptedFiles
from app.media.lengths import Length
from app.media.limits import Limits
from tests.toy_modality.methods import NAME

SENSORS = 8
MAGIC = b"sensor series,"


def is_series(data: bytes) -> bool:
    return data.startswith(MAGIC)


def decode_series(data: bytes) -> tuple[NDArray[np.float32], float]:
    """(values [T, SENSORS] in [0, 1], readings a second). Raises InvalidData."""
    try:
        first, *lines = data.decode("ascii").split()[1:]
        rate = float(first.removeprefix("series,"))
        values = np.array([[float(value) for value in line.split(",")] for line in lines], np.float32)
    except ValueError as error:
        raise InvalidData(f"the sensor series is broken: {error}") from error
    if values.shape != (len(lines), SENSORS) or not len(lines) or not np.isfinite(values).all() or rate <= 0:
        raise InvalidData(f"a sensor series has a rate and {SENSORS} values a line")
    return np.clip((values + 1) / 2, 0, 1), rate


def encode_series(values: NDArray[np.float32], rate: float) -> bytes:
    """values [T, SENSORS] in [0, 1]."""
    lines = [",".join(f"{value:.4f}" for value in row) for row in 2 * values.astype(float) - 1]
    return "\n".join([f"sensor series,{rate:g}", *lines, ""]).encode("ascii")


def read_rows(data: bytes) -> NDArray[np.float32]:
    return decode_series(data)[0]


def series_length(data: bytes, limits: Limits) -> Length:
    values, rate = decode_series(data)
    return Length(seconds=len(values) / rate, frames=len(values))


SERIES = AcceptedFiles(NAME, "a sensor series", ("CSV",), is_series, series_length)
