"""The amount of data in a job's media files, extrapolated from their checks. No torch: the API estimates."""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import fmean
from typing import NamedTuple

from app.datasets.samples import MediaSample
from app.errors import InvalidData
from app.media.lengths import Length
from app.modalities.estimator import CheckedFiles, DataAmount


@dataclass(frozen=True)
class ItemRows:
    """How training stores items, and cuts them into samples.

    rows: of an item of a length. window: rows of a sample; a longer item gives several samples. row_bytes: of a row.
    tokens: of a sample of so many rows.
    """

    rows: Callable[[Length], int]
    window: int
    row_bytes: int
    tokens: Callable[[int], int]


class FileAmount(NamedTuple):
    """The amount of data in a whole file, extrapolated from its beginning."""

    items: float
    samples: float
    rows: float
    tokens: float


def count_items(files: CheckedFiles[MediaSample]) -> DataAmount:
    """Counts the items of the training files. Raises InvalidData where one item alone is trained on and held out."""
    items = sum(sample.items / sample.share for sample in files.samples)
    known = DataAmount(round(items), sampled=not all(sample.whole for sample in files.samples))
    if items < 2 and not known.sampled and files.held_out is None:
        raise InvalidData(
            "one usable file is too little: there must be one to train on and one to hold out",
            param="training_file",
        )
    return known


def estimate_amount(files: CheckedFiles[MediaSample], validation_fraction: float, stored: ItemRows) -> DataAmount:
    """Estimates samples, tokens and bytes. Raises InvalidData as `count_items` does."""
    known = count_items(files)
    amounts = [file_amount(sample, stored) for sample in files.files]
    training = amounts[: len(files.samples)]
    items = sum(amount.items for amount in training)
    held = 0.0 if files.held_out else min(max(1, round(validation_fraction * items)), items - 1) / items
    epoch = (1 - held) * sum(a.tokens * weight for a, weight in zip(training, files.weights, strict=True))
    return DataAmount(
        documents=known.documents,
        samples=round(sum(amount.samples for amount in training)),
        tokens=round(sum(amount.tokens for amount in training)),
        sampled=known.sampled,
        epoch_tokens=epoch,
        shard_bytes=sum(amount.rows for amount in amounts) * stored.row_bytes,
    )


def file_amount(sample: MediaSample, stored: ItemRows) -> FileAmount:
    """Extrapolates from the first items of a file to all of it."""
    items = sample.items / sample.share
    rows = [stored.rows(length) for length in sample.lengths or (Length(),)]
    samples = [max(1, each // stored.window) for each in rows]
    tokens = [count * stored.tokens(each // count) for each, count in zip(rows, samples, strict=True)]
    return FileAmount(items, items * fmean(samples), items * fmean(rows), items * fmean(tokens))
