"""Decoded media in memory-mapped shards, shared by all jobs that decode the same files in the same way.

An item is a sequence of rows of one shape: an image is one row [H, W, C], a spectrogram has a row for each
frame, and so has a clip. The name of a shard's folder is the hash of everything that the shard depends on:
the file's content and the way its items are decoded. The folder contains

    rows.bin     the rows of all items, end to end
    ends.npy     [items] int64, the row after each item's last one
    shard.json   shape and dtype of the rows, and the report on the files
"""

import hashlib
import itertools
import json
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from app.datasets.reports import Report, Skipped
from app.datasets.samples import Sample, read_samples
from app.errors import InvalidData, TooLarge
from app.modalities.patch.decoding import DecodedRows, Decoding
from app.system.durable import sync_open
from app.system.process_pool import ProcessPool
from app.training.data.cache import open_entry
from app.training.data.order import Stream, generator
from app.training.data.source_file import SourceFile

SHARD_FORMAT = 2
AHEAD = 4  # files that are queued for each decoder


@dataclass(frozen=True)
class MediaShard:
    """The decoded items of one file."""

    rows: DecodedRows  # [R, *shape], memory-mapped
    ends: NDArray[np.int64]  # [I]
    report: Report
    lock: IO[bytes]  # the cache keeps the shard while this file is open

    def __len__(self) -> int:
        return len(self.ends)

    def length(self, item: int) -> int:
        """Returns the number of an item's rows."""
        return int(self.ends[item]) - (int(self.ends[item - 1]) if item else 0)

    def __getitem__(self, item: int) -> DecodedRows:
        start = int(self.ends[item - 1]) if item else 0
        return self.rows[start : int(self.ends[item])]


class MediaItems:
    """A dataset of the items of several shards, or of parts of them.

    Args:
        where: [K, 4] as (shard, item, first row, last row + 1).
        tokens: Returns the tokens of a sample of so many rows.
    """

    def __init__(self, shards: Sequence[MediaShard], where: NDArray[np.int64], tokens: Callable[[int], int]) -> None:
        self._shards, self._where = shards, where
        self.tokens = sum(tokens(last - first) for _, _, first, last in where.tolist())

    def __len__(self) -> int:
        return len(self._where)

    def __getitem__(self, index: int) -> DecodedRows:
        shard, item, first, last = (int(x) for x in self._where[index])
        return self._shards[shard][item][first:last]


def decode_file(
    file: SourceFile,
    decoding: Decoding,
    cache_dir: Path,
    decoders: ProcessPool,
    check: Callable[[], None] = lambda: None,
) -> MediaShard:
    """Returns the file's shard, from the cache or newly decoded. Only the items in work are in memory.

    `check` is called for every item, and while another process makes the shard. It may raise to end the work.

    Raises InvalidData and TooLarge for the archive itself. A file in it that is broken, crashes its decoder, or
    exceeds a decoder's time or memory is listed in the shard's report.
    """
    parts = [str(SHARD_FORMAT), file.digest(), decoding.files.name, decoding.name]
    folder = cache_dir / decoding.files.name / hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]
    return _open(folder, open_entry(folder, lambda aside: _write(aside, file, decoding, decoders, check), check))


def check_reports(shards: Sequence[MediaShard], what: str, max_broken_share: float) -> Report:
    """Returns the sum of the reports. Raises InvalidData if no file is usable or too many are broken."""
    total = Report()
    for shard in shards:
        total.usable += shard.report.usable
        for reason, skipped in shard.report.skipped.items():
            entry = total.skipped.setdefault(reason, Skipped())
            entry.count += skipped.count
            entry.examples += skipped.examples
    total.check(what, max_broken_share)
    return total


def split_items(
    shards: Sequence[MediaShard],
    held_out: Sequence[MediaShard],
    fraction: float,
    seed: int,
    tokens: Callable[[int], int],
    window: int | None = None,
) -> tuple[list[MediaItems], MediaItems]:
    """Returns (one training dataset for each shard, the held-out dataset).

    An item of more than `window` rows is cut into samples of one to two windows. No item is both trained on and
    held out.

    Args:
        held_out: Shards of validation files. If there are none, a random share of all items is held out.
        fraction: The share of items to hold out.
        tokens: Returns the tokens of a sample of so many rows.
    """
    where = _all_items(shards)
    held = np.zeros(len(where), dtype=bool)
    if not held_out:
        if len(where) < 2:
            raise InvalidData("the data have a single item, which cannot be both trained on and held out")
        count = min(max(1, round(fraction * len(where))), len(where) - 1)
        held[generator(seed, Stream.HOLD_OUT).permutation(len(where))[:count]] = True
    kept = where[~held]
    parts = [MediaItems(shards, _cut(shards, kept[kept[:, 0] == n], window), tokens) for n in range(len(shards))]
    others, chosen = (held_out, _all_items(held_out)) if held_out else (shards, where[held])
    return parts, MediaItems(others, _cut(others, chosen, window), tokens)


def _cut(shards: Sequence[MediaShard], where: NDArray[np.int64], window: int | None) -> NDArray[np.int64]:
    """Cuts items [K, 2] as (shard, item) into parts [K', 4] of one to two windows each, as `MediaItems` takes them."""
    parts = []
    for shard, item in where.tolist():
        length = shards[shard].length(item)
        ends = np.linspace(0, length, max(1, length // window if window else 1) + 1).astype(np.int64)
        parts += [(shard, item, first, last) for first, last in itertools.pairwise(ends.tolist())]
    return np.array(parts, np.int64).reshape(-1, 4)


def _all_items(shards: Sequence[MediaShard]) -> NDArray[np.int64]:
    """Returns all items, [K, 2] as (shard, item)."""
    each = [np.stack([np.full(len(s), number), np.arange(len(s))], axis=1) for number, s in enumerate(shards)]
    return np.concatenate(each).astype(np.int64)


def _open(folder: Path, lock: IO[bytes]) -> MediaShard:
    meta = json.loads((folder / "shard.json").read_text())
    ends = np.load(folder / "ends.npy")
    shape = (int(ends[-1]) if len(ends) else 0, *meta["shape"])
    dtype = np.dtype(meta["dtype"])
    empty = shape[0] == 0  # an empty file cannot be mapped
    rows = np.zeros(shape, dtype) if empty else np.memmap(folder / "rows.bin", dtype=dtype, mode="r", shape=shape)
    return MediaShard(rows, ends, Report.from_dict(meta["report"]), lock)


def _write(
    folder: Path, file: SourceFile, decoding: Decoding, decoders: ProcessPool, check: Callable[[], None]
) -> None:
    report, ends, total = Report(), [], 0
    samples = read_samples(file.path, file.filename, decoding.files, report=report)
    with (folder / "rows.bin").open("wb") as out:
        for sample, decoded in _decoded(samples, decoding, decoders):
            check()
            try:
                rows = decoded.result()
            except (InvalidData, TooLarge) as e:
                report.mark_broken(sample.name, e.message)
                continue
            out.write(rows.data)
            total += len(rows)
            ends.append(total)
        sync_open(out)
    np.save(folder / "ends.npy", np.array(ends, dtype=np.int64))
    meta = {"shape": decoding.shape, "dtype": decoding.dtype, "report": asdict(report)}
    (folder / "shard.json").write_text(json.dumps(meta))


def _decoded(
    samples: Iterator[Sample], decoding: Decoding, decoders: ProcessPool
) -> Iterator[tuple[Sample, "Future[DecodedRows]"]]:
    """Yields the samples in their order, each with its decoded rows or its error. Decodes a few of them ahead."""
    waiting: deque[tuple[Sample, Future[DecodedRows]]] = deque()
    try:
        for sample in samples:
            waiting.append((sample, decoders.submit(partial(decoding, sample.data))))
            if len(waiting) >= decoders.size * AHEAD:
                yield waiting.popleft()
        while waiting:
            yield waiting.popleft()
    finally:
        for _, decoded in waiting:
            decoded.cancel()
