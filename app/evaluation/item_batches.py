"""Batches of items for a network that is trained: read as for serving, within a budget of tokens."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias, TypeVar

import numpy as np

from app.devices import free_memory, is_out_of_memory
from app.errors import OutOfMemory
from app.evaluation.embedding import make_item
from app.modalities.base import Prepared
from app.modalities.trainable import TrainableEmbed
from app.system.process_pool import ProcessPool

_PREPARED = 64  # items that are read before they are computed

T = TypeVar("T")
Content: TypeAlias = str | bytes
Rows: TypeAlias = list[Prepared[Any, Any]]


class ItemReader:
    """Reads items for a handler of embeddings.

    decoders: the processes that decode files; None: this one. batch_tokens: of a batch, with padding.
    """

    def __init__(self, handler: TrainableEmbed, decoders: ProcessPool | None, batch_tokens: int) -> None:
        self._handler, self._decoders, self._batch_tokens = handler, decoders, batch_tokens
        self._latest: Rows = []

    def read(self, contents: Sequence[Content]) -> Iterator[tuple[list[int], Rows]]:
        """Yields batches of the items by length, with the place of each item."""
        for start in range(0, len(contents), _PREPARED):
            rows = self._prepare(contents[start : start + _PREPARED])
            for batch in _cut(rows, self._batch_tokens):
                self._latest = [rows[place] for place in batch]
                yield [start + place for place in batch], self._latest

    def retry(self, compute: Callable[[], T], device: Any) -> T:
        """Calls a function that reads and computes batches; again with half of the latest batch if memory runs out.

        device: of the model, a torch.device. Raises OutOfMemory if one item is too much.
        """
        while True:
            try:
                return compute()
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                if len(self._latest) <= 1:
                    raise OutOfMemory("memory ran out with one item at a time; use a smaller model") from error
            self._batch_tokens = max(row.cost for row in self._latest) * len(self._latest) // 2
            free_memory(device)

    def _prepare(self, contents: Sequence[Content]) -> Rows:
        items = list(map(make_item, contents))
        if self._handler.reads_files and self._decoders is not None:
            futures = [self._decoders.submit(self._handler.decoding(item)) for item in items]
            items = [future.result() for future in futures]
        return list(map(self._handler.prepare, items))


def _cut(rows: Rows, budget: int) -> Iterator[list[int]]:
    """Yields the places of rows by length, in batches of at most `budget` padded tokens, one row at least."""
    order = np.argsort([row.cost for row in rows], kind="stable").tolist()
    batch: list[int] = []
    for place in order:
        if batch and rows[place].cost * (len(batch) + 1) > budget:
            yield batch
            batch = []
        batch.append(place)
    yield batch
