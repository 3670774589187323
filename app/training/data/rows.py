"""Rows of one length, packed from documents. A pure function of the documents and the seed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.modalities.text.row_masking import Row
from app.training.data.order import Stream, generator
from app.training.data.shards import Shard

OPEN_ROWS = 16  # rows that are kept open for a short document to fill them
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Segments:
    """Segments of documents, grouped into rows."""

    shard: Ints  # [S] number of the shard
    start: Ints  # [S] first token in the shard
    length: Ints  # [S] tokens, without special tokens
    row_ends: Ints  # [R] the segment after each row's last one


class PackedRows:
    """A dataset of text rows. `rows[i]` is a Row with its special tokens.

    Args:
        prefix: Special tokens before each segment.
        suffix: Special tokens after each segment.
    """

    def __init__(self, shards: Sequence[Shard], segments: Segments, prefix: Ints, suffix: Ints) -> None:
        self._shards, self._segments, self._prefix, self._suffix = shards, segments, prefix, suffix
        special = (len(prefix) + len(suffix)) * len(segments.length)
        self.tokens = int(segments.length.sum()) + special  # with special tokens, without padding

    def __len__(self) -> int:
        return len(self._segments.row_ends)

    def __getitem__(self, index: int) -> Row:
        segments = self._segments
        first = int(segments.row_ends[index - 1]) if index else 0
        parts: list[Any] = []
        lengths = []
        for i in range(first, int(segments.row_ends[index])):
            start, end = segments.start[i], segments.start[i] + segments.length[i]
            tokens = self._shards[segments.shard[i]].tokens[start:end]
            parts += (self._prefix, tokens.astype(np.int64), self._suffix)
            lengths.append(len(self._prefix) + len(tokens) + len(self._suffix))
        return Row(np.concatenate(parts), tuple(lengths))


def split_documents(documents: Ints, fraction: float, seed: int, piece: int) -> tuple[Ints, Ints]:
    """Splits documents [D, 3], as (shard, start, end), into (training, held out).

    A random share of the documents is held out. A single document is first cut into pieces of `piece` tokens.
    """
    if len(documents) == 1:
        shard, start, end = (int(x) for x in documents[0])
        edges = np.append(np.arange(start, end, piece), end)
        documents = np.stack([np.full(len(edges) - 1, shard), edges[:-1], edges[1:]], axis=1)
    held = np.zeros(len(documents), dtype=bool)
    count = min(max(1, round(fraction * len(documents))), len(documents) - 1)
    held[generator(seed, Stream.HOLD_OUT).permutation(len(documents))[:count]] = True
    return documents[~held], documents[held]


def all_documents(shards: Sequence[Shard], kept: Sequence[NDArray[np.bool_]] | None = None) -> Ints:
    """Returns the documents that are not empty, [D, 3] as (shard, start, end).

    kept: for each shard [documents] bool; documents that are False are left out.
    """
    found = []
    for number, shard in enumerate(shards):
        wanted = shard.ends > shard.starts
        if kept is not None:
            wanted &= kept[number]
        at = np.flatnonzero(wanted)
        found.append(np.stack([np.full(len(at), number), shard.starts[at], shard.ends[at]], axis=1))
    return np.concatenate(found)


def pack(documents: Ints, capacity: int, overhead: int, *, share_rows: bool) -> Segments:
    """Cuts documents [D, 3] into segments, and packs the segments into rows.

    A full segment has a row of its own. The rest of each document goes to the fullest open row with enough room
    (best fit).

    Args:
        capacity: Tokens of a row.
        overhead: Special tokens of a segment.
        share_rows: Whether segments of several documents may share a row.
    """
    room = capacity - overhead  # tokens of a full segment
    sizes = documents[:, 2] - documents[:, 1]
    full_count = sizes // room  # [D] full segments of each document
    rest = sizes - full_count * room  # [D] tokens after the full segments
    owner = np.repeat(np.arange(len(documents)), full_count)  # [F] the document of each full segment
    nth = np.arange(len(owner)) - np.repeat(np.cumsum(full_count) - full_count, full_count)  # [F] its number there
    # Segments as (shard, start, length).
    full = np.stack([documents[owner, 0], documents[owner, 1] + nth * room, np.full(len(owner), room)], axis=1)
    tails = np.stack([documents[:, 0], documents[:, 1] + full_count * room, rest], axis=1)[rest > 0]
    row = _best_fit(tails[:, 2] + overhead, capacity) if share_rows else np.arange(len(tails))
    segments = np.concatenate([full, tails[np.argsort(row, kind="stable")]])
    row_sizes = np.concatenate([np.ones(len(full), np.int64), np.bincount(row).astype(np.int64)])
    return Segments(segments[:, 0], segments[:, 1], segments[:, 2], np.cumsum(row_sizes))


def _best_fit(sizes: Ints, capacity: int) -> Ints:
    """Returns the row of each size. Rows are numbered in the order in which they are opened."""
    row = np.zeros(len(sizes), dtype=np.int64)
    open_rows: list[tuple[int, int]] = []  # (room left, number)
    opened = 0
    for index, size in enumerate(sizes):
        fitting = [(room, place) for place, (room, _) in enumerate(open_rows) if room >= size]
        if fitting:
            room, place = min(fitting)
            number = open_rows[place][1]
            open_rows[place] = (room - int(size), number)
        else:
            number = opened
            opened += 1
            if len(open_rows) == OPEN_ROWS:
                open_rows.remove(min(open_rows))  # the fullest row
            open_rows.append((capacity - int(size), number))
        row[index] = number
    return row
