"""The metrics of a job as series: for every key an array that grows with each metrics event.

They are written in the transaction of their event, so a point is there exactly once. An array is a
string of packed numbers: a hundred thousand points are read in one reply of 2.4 MB.
"""

import csv
import io
import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from app.jobs.connection import Client

_POINT = struct.Struct("<3d")  # step, value, time in Unix seconds

Points: TypeAlias = NDArray[np.float64]  # [N, 3]: step, value, time


def append(pipe: Client, job_id: str, data: Mapping[str, Any], now: float) -> None:
    """A point for every finite number of a metrics event; data without a `step` has no place in a series."""
    step = data.get("step")
    values = {key: value for key, value in data.items() if key != "step" and _is_finite(value)}
    if not _is_finite(step) or not values:
        return
    for key, value in values.items():
        pipe.append(_series_key(job_id, key), _POINT.pack(step, value, now))
    pipe.sadd(_keys_key(job_id), *values)


class MetricSeries:
    def __init__(self, redis: Client) -> None:
        self._redis = redis

    def keys(self, job_id: str) -> list[str]:
        """Sorted."""
        return sorted(key.decode() for key in self._redis.smembers(_keys_key(job_id)))

    def read(self, job_id: str, keys: Sequence[str]) -> list[Points]:
        """The points of each key, in the order of their steps; none for a key that was never reported."""
        raw = self._redis.mget([_series_key(job_id, key) for key in keys]) if keys else []
        return [np.frombuffer(r or b"", dtype="<f8").reshape(-1, 3) for r in raw]

    def last(self, job_ids: Sequence[str], key: str) -> dict[str, float]:
        """The last value of a key, by job; without jobs that have none."""
        with self._redis.pipeline(transaction=False) as pipe:
            for job_id in job_ids:
                pipe.getrange(_series_key(job_id, key), -_POINT.size, -1)
            raws = pipe.execute()
        return {job_id: _POINT.unpack(raw)[1] for job_id, raw in zip(job_ids, raws, strict=True) if raw}


def iterate_csv(keys: Sequence[str], series: Sequence[Points]) -> Iterator[str]:
    """Yields the lines of a table with a row for each step: step, time in Unix seconds, and a column for each key."""
    steps = np.unique(np.concatenate([points[:, 0] for points in series])) if series else np.empty(0)
    table = np.full((len(steps), 1 + len(keys)), np.nan)  # the first column has the time
    for column, points in enumerate(series, 1):
        rows = np.searchsorted(steps, points[:, 0])
        table[rows, column] = points[:, 1]
        table[rows, 0] = np.fmax(table[rows, 0], points[:, 2])
    yield _csv_line(["step", "time", *keys])
    for step, row in zip(steps.tolist(), table, strict=True):
        yield _csv_line([int(step), *("" if math.isnan(value) else value for value in row.tolist())])


def _csv_line(values: Sequence[object]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow(values)
    return buffer.getvalue()


def downsample(points: Points, count: int) -> Points:
    """Selects at most `count` points, at least 3, that keep the shape of the curve.

    Largest triangle three buckets: S. Steinarsson, "Downsampling Time Series for Visual
    Representation" (University of Iceland, 2013), section 4.2. First and last point stay; of every
    bucket between them, the point that spans the largest triangle with the point chosen before it
    and the mean of the next bucket.
    """
    if len(points) <= count:
        return points
    edges = np.linspace(1, len(points) - 1, count - 1).astype(int)  # of count - 2 buckets
    chosen = [0]
    for start, end, after in zip(edges[:-1], edges[1:], [*edges[2:], len(points)], strict=True):
        x, y, _ = points[chosen[-1]]
        next_x, next_y, _ = points[end:after].mean(axis=0)
        bucket = points[start:end]
        area = np.abs((x - next_x) * (bucket[:, 1] - y) - (x - bucket[:, 0]) * (next_y - y))
        chosen.append(int(start + area.argmax()))
    return points[[*chosen, len(points) - 1]]


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _keys_key(job_id: str) -> str:
    return f"cloze:job:{job_id}:metrics"


def _series_key(job_id: str, key: str) -> str:
    return f"cloze:job:{job_id}:metrics:{key}"
