"""The choice of a data set's documents by length and duplicates, from the lengths and hashes in its shards."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.errors import InvalidData
from app.methods import MlmHyperparameters
from app.training.data.rows import Ints, all_documents
from app.training.data.shards import Shard

Kept = NDArray[np.bool_]


@dataclass(frozen=True)
class DroppedDocuments:
    """The documents that are left out, each counted once, under the first reason that applies."""

    documents: int  # of the data set
    too_short: int = 0
    too_long: int = 0
    held_out: int = 0  # their text is in a validation file
    duplicates: int = 0

    def describe(self) -> str:
        """Returns the message of the event."""
        reasons = {
            "duplicates": self.duplicates,
            "too short": self.too_short,
            "too long": self.too_long,
            "also in a validation file": self.held_out,
        }
        listed = ", ".join(f"{count:,} {reason}" for reason, count in reasons.items() if count)
        total = sum(reasons.values())
        return f"Dropped {total:,} of {self.documents:,} documents" + (f": {listed}" if listed else "")


def choose_documents(
    shards: Sequence[Shard], validation: Sequence[Shard], hp: MlmHyperparameters
) -> tuple[Ints, DroppedDocuments | None]:
    """Returns ([D, 3] as from `all_documents`, what was dropped or None if no filter is set).

    Of equal texts the first one over all shards stays. Raises InvalidData if nothing is left.
    """
    if not (hp.min_characters or hp.max_characters or hp.deduplicate != "off"):
        return all_documents(shards), None
    characters = _joined([s.characters for s in shards])
    kept = np.ones(len(characters), dtype=bool)

    def drop(condition: Kept) -> int:
        """Drops the documents of the condition, and returns how many of them were still kept."""
        nonlocal kept
        before = int(kept.sum())
        kept &= ~condition
        return before - int(kept.sum())

    too_short = drop(characters < (hp.min_characters or 0))
    too_long = drop(characters > (hp.max_characters or np.iinfo(np.int64).max))
    held_out = duplicates = 0
    if hp.deduplicate != "off":
        exact = hp.deduplicate == "exact"
        hashes, others = (
            _joined([s.exact_hashes if exact else s.hashes for s in each]) for each in (shards, validation)
        )
        held_out = drop(np.isin(hashes, others))
        duplicates = drop(_repeats(hashes, kept))
    dropped = DroppedDocuments(len(kept), too_short, too_long, held_out, duplicates)
    if not kept.any():
        raise InvalidData(f"no document is left to train on. {dropped.describe()}", param="training_file")
    edges = np.cumsum([len(s.ends) for s in shards])[:-1]
    return all_documents(shards, np.split(kept, edges)), dropped


def _repeats(hashes: NDArray[np.uint64], kept: Kept) -> Kept:
    """Returns which of the kept documents repeat an earlier kept one."""
    candidates = np.flatnonzero(kept)
    _, first = np.unique(hashes[candidates], return_index=True)
    repeats = kept.copy()
    repeats[candidates[first]] = False
    return repeats


def _joined(arrays: Sequence[NDArray[Any]]) -> NDArray[Any]:
    return np.concatenate(arrays) if arrays else np.zeros(0, np.uint64)
