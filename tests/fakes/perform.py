"""Performs a task as the engine does, without an engine."""

from collections.abc import Sequence
from typing import Any

from app.modalities.base import AnyHandler, BatchRow


def perform(handler: AnyHandler, items: Sequence[Any]) -> list[Any]:
    """Answers all items together: the rows of a step of all items share one batch."""
    open_, sent, answers = dict(enumerate(map(handler.steps, items))), {}, {}
    while open_:
        asked = {}
        for index, steps in list(open_.items()):
            try:
                asked[index] = steps.send(sent.get(index))
            except StopIteration as end:
                answers[index] = end.value
                del open_[index]
        if asked:
            raws = iter(handler.run(handler.collate([row.inputs for rows in asked.values() for row in rows])))
            sent = {index: [next(raws) for _ in rows] for index, rows in asked.items()}
    return [answers[index] for index in range(len(items))]


def rows_of(handler: AnyHandler, item: Any) -> Sequence[BatchRow[Any]]:
    """Returns the rows of the item's first step."""
    return next(handler.steps(item))
